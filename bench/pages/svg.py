"""Prepares a figure's SVG for embedding in a page: the page's colours, unique ids, small size."""

import hashlib
import re
from collections import Counter
from itertools import groupby

from markupsafe import Markup

from bench.plots.style import BASELINE_COLOUR, GRID, INK, PALETTE, STATUSES, VERDICTS
from estimators.text import visible

COLOURS = {
    INK: "ink",
    GRID: "grid",
    BASELINE_COLOUR: "baseline",
    "#ececec": "missing",
    STATUSES["not_applicable"]: "missing",
    VERDICTS["unclear"]: "unclear",
    VERDICTS["unbiased"]: "fine",
    VERDICTS["biased"]: "wrong",
    **{colour: f"c{i}" for i, colour in enumerate(PALETTE)},
}
"""Colours of figures, and the names of their CSS variables; the page has other values in dark mode."""
FONT = "font-family: 'DejaVu Sans', sans-serif; "
"""The font, declared once in the opening tag."""


def inline(text: str, name: str, label: str, over: str = "") -> Markup:
    """Converts an SVG file to an element of the page.

    Args:
        text: Text of the SVG file.
        name: Name of the figure, from which the prefix of its ids is made.
        label: Text for screen readers.
        over: SVG elements to put on top of the figure.
    """
    own = "f" + hashlib.sha256(name.encode()).hexdigest()[:6]
    text = visible(text, keep="\n\t\r")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    text = re.sub(r"<style\b.*?</style>", "", text, count=1, flags=re.DOTALL)
    text = _joined(_hoisted(_ungrouped(_rounded(text))))
    text = _classed(_coloured(_prefixed(text, own)), own)
    return Markup(_opened(text, own, label).replace("</svg>", f"{over}</svg>"))


def _rounded(text: str) -> str:
    """Rounds coordinates to two decimals, a twentieth of a pixel, and removes unnecessary white space."""

    def short(tag: re.Match[str]) -> str:
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag[0])

    text = re.sub(r">\s+<", "><", re.sub(r"<[^>]+>", short, text))
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", re.sub(r"\s*\n\s*", " ", text))
    text = re.sub(r'(?<=<path d=")[^"]*', lambda d: re.sub(r" ?([A-Za-z]) ?", r"\1", d[0].strip()), text)
    return text.replace("xlink:href=", "href=").replace(FONT, "")


def _ungrouped(text: str) -> str:
    """Removes groups that neither position nor style their content."""
    open_groups: list[bool] = []

    def keep(tag: re.Match[str]) -> str:
        if tag[0] != "</g>":
            open_groups.append(bool(re.search(r"(?:style|clip-path|transform)=", tag[0])))
            return tag[0] if open_groups[-1] else ""
        return tag[0] if open_groups.pop() else ""

    return re.sub(r"<g\b[^>]*>|</g>", keep, text)


def _hoisted(text: str) -> str:
    """Moves the style shared by all markers of a series to their group."""

    def hoist(group: re.Match[str]) -> str:
        styles = re.findall(r' style="([^"]*)"', group[2])
        if len(set(styles)) != 1 or len(styles) != group[2].count("<use"):
            return group[0]
        bare = re.sub(r' style="[^"]*"', "", group[2])
        return f'<g{group[1]} style="{styles[0]}">{bare}</g>'

    return re.sub(r'<g( clip-path="[^"]*")>((?:<use [^>]*/>)+)</g>', hoist, text)


RECTANGLE = re.compile(r"M(\S+) (\S+)L(\S+) \2L\3 (\S+)L\1 \4L\1 \2")


def _joined(text: str) -> str:
    """Joins consecutive paths of the same style into one path: lines, and the fields of a matrix."""

    def join(run: re.Match[str]) -> str:
        paths = re.findall(r'<path d="([^"]*)"([^>]*)/>', run[0])
        if all(RECTANGLE.fullmatch(d) for d, _ in paths):  # fields do not overlap, so their order is free
            paths.sort(key=lambda path: path[1])
        found = [(rest, [_short(d) for d, _ in same]) for rest, same in groupby(paths, key=lambda path: path[1])]
        return "".join(f'<path d="{"".join(ds)}"{rest}/>' for rest, ds in found)

    return re.sub(r'(?:<path d="[^"]*" clip-path="[^"]*" style="[^"]*"/>){2,}', join, text)


def _short(d: str) -> str:
    """Writes a rectangle as its corner and sides; returns other paths unchanged.

    >>> _short("M1 2L11 2L11 7L1 7L1 2"), _short("M1 2L3 4")
    ('M1 2h10v5h-10z', 'M1 2L3 4')
    """
    found = RECTANGLE.fullmatch(d)
    if not found:
        return d
    left, top, right, bottom = map(float, found.groups())
    return f"M{found[1]} {found[2]}h{right - left:.4g}v{bottom - top:.4g}h{left - right:.4g}z"


def _prefixed(text: str, own: str) -> str:
    """Replaces ids by short ids with the figure's prefix `own`; drops unused ids."""
    used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    short = {each: f"{own}-{i:x}" for i, each in enumerate(used)}
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", text)
    return re.sub(r'(url\(#|href="#)([^")]+)', lambda found: f"{found[1]}{short[found[2]]}", text)


def _classed(text: str, own: str) -> str:
    """Moves styles and clip paths that several elements share into a style sheet for this figure."""
    counts = Counter(each for tag in STYLED_ELEMENT.finditer(text) for each in tag.group("clip", "style") if each)
    names = {found: f"k{i:x}" for i, (found, count) in enumerate(counts.most_common()) if count > 1}

    def classed(tag: re.Match[str]) -> str:
        shared = [names[each] for each in tag.group("clip", "style") if each in names]
        own_looks = [
            f' {attribute}="{tag[group]}"'
            for group, attribute in (("clip", "clip-path"), ("style", "style"))
            if tag[group] and tag[group] not in names
        ]
        return tag["start"] + f' class="{" ".join(shared)}"' * bool(shared) + "".join(own_looks)

    rules = {name: f"clip-path:{found}" if found.startswith("url(") else found for found, name in names.items()}
    sheet = "".join(f"#{own} .{name}{{{rule}}}" for name, rule in rules.items())
    sheet = re.sub(r"(?<=[:;]) ", "", sheet)
    start, rest = STYLED_ELEMENT.sub(classed, text).split(">", 1)
    return f"{start}><style>{sheet}</style>{rest}"


STYLED_ELEMENT = re.compile(
    r'(?P<start><(?:path d="[^"]*"|use [^>]*?|g|text))(?= (?:clip-path|style)=)'
    r'(?: clip-path="(?P<clip>[^"]*)")?(?: style="(?P<style>[^"]*)")?'
)
"""Matches the clip path and style attributes of an element."""


def _coloured(text: str) -> str:
    """Replaces colours in tags by CSS variables; white separators become the page's background, white text stays."""

    def recolour(tag: re.Match[str]) -> str:
        found = tag[0]
        for colour, variable in COLOURS.items():
            found = found.replace(colour, f"var(--{variable})")
        return found if found.startswith("<text") else found.replace("#ffffff", "var(--paper)")

    return re.sub(r"<(?:text|path|use|g|rect|line)\b[^>]*>", recolour, text)


def _opened(text: str, own: str, label: str) -> str:
    """Writes the opening tag: size from the view box, about doubled if there is room, and the accessible name."""
    start, rest = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', start)
    assert box is not None
    width = float(box[1].split()[2])
    safe = Markup.escape(label)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{own}" viewBox="{box[1]}" role="img" aria-label="{safe}" '
        f'style="{FONT}stroke-linejoin:round;width:{width * 1.95:.0f}px">{rest}'
    )
