"""A figure as SVG that lives inside a page: it takes the page's colours, clashes with no other figure, and is small."""

import hashlib
import re
from itertools import groupby

from markupsafe import Markup

from bench.plots.style import BASELINE, GRID, INK, PALETTE

COLOURS = {INK: "ink", GRID: "grid", BASELINE: "baseline", "#ececec": "missing"} | {
    colour: f"c{i}" for i, colour in enumerate(PALETTE)
}
"""Colours of figures, and the page's names for them; the page has other values for a dark screen."""
FONT = "font-family: 'DejaVu Sans', sans-serif; "
"""Said once, at the top."""


def inline(text: str, name: str, label: str, over: str = "") -> Markup:
    """An SVG file as an element: ids prefixed with `name`, `label` read aloud in place of the picture, and what lies
    `over` it."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    text = _coloured(_prefixed(_joined(_hoisted(_rounded(text))), name))
    return Markup(_opened(text, label).replace("</svg>", f"{over}</svg>"))


def _rounded(text: str) -> str:
    """Coordinates at two decimals, a twentieth of a pixel; no space between elements."""

    def short(tag: re.Match[str]) -> str:
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag[0])

    text = re.sub(r">\s+<", "><", re.sub(r"<[^>]+>", short, text))
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", re.sub(r"\s*\n\s*", " ", text))
    return text.replace("xlink:href=", "href=").replace(FONT, "")


def _hoisted(text: str) -> str:
    """Markers of one series that share their style, with it once on their group."""

    def hoist(group: re.Match[str]) -> str:
        styles = re.findall(r' style="([^"]*)"', group[2])
        if len(set(styles)) != 1 or len(styles) != group[2].count("<use"):
            return group[0]
        bare = re.sub(r' style="[^"]*"', "", group[2])
        return f'<g{group[1]} style="{styles[0]}">{bare}</g>'

    return re.sub(r'<g( clip-path="[^"]*")>((?:<use [^>]*/>)+)</g>', hoist, text)


def _joined(text: str) -> str:
    """Lines that follow each other and look the same, as one: the bars of a series' intervals."""

    def join(run: re.Match[str]) -> str:
        paths = re.findall(r'<path d="([^"]*)"([^>]*)/>', run[0])
        found = [(rest, " ".join(d for d, _ in same)) for rest, same in groupby(paths, key=lambda path: path[1])]
        return "".join(f'<path d="{d}"{rest}/>' for rest, d in found)

    return re.sub(r'(?:<path d="[^"]*" clip-path="[^"]*" style="fill: none;[^"]*"/>){2,}', join, text)


def _prefixed(text: str, name: str) -> str:
    """Ids made this figure's own and short, wherever they are defined or used; those that nothing uses are dropped."""
    used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    own = "f" + hashlib.sha256(name.encode()).hexdigest()[:6]
    short = {each: f"{own}-{i:x}" for i, each in enumerate(used)}
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", text)
    return re.sub(r'(url\(#|href="#)([^")]+)', lambda found: f"{found[1]}{short[found[2]]}", text)


def _coloured(text: str) -> str:
    """Colours by the page's names inside tags; white separators become the page's paper, white text stays."""

    def recolour(tag: re.Match[str]) -> str:
        found = tag[0]
        for colour, variable in COLOURS.items():
            found = found.replace(colour, f"var(--{variable})")
        return found if found.startswith("<text") else found.replace("#ffffff", "var(--paper)")

    return re.sub(r"<(?:text|path|use|g|rect|line)\b[^>]*>", recolour, text)


def _opened(text: str, label: str) -> str:
    """The opening tag: sized by its view box, twice its size on paper where there is room, and with a name."""
    start, rest = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', start)
    assert box is not None
    width = float(box[1].split()[2])
    safe = Markup.escape(label)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}" '
        f'role="img" aria-label="{safe}" style="{FONT}width:{width * 1.95:.0f}px">{rest}'
    )
