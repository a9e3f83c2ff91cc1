"""A figure as SVG that lives inside a page: it takes the page's colours and clashes with no other figure."""

import re

from markupsafe import Markup

from bench.plots.style import BASELINE, GRID, INK, PALETTE

COLOURS = {INK: "ink", GRID: "grid", BASELINE: "baseline", "#ececec": "missing"} | {
    colour: f"c{i}" for i, colour in enumerate(PALETTE)
}
"""Colours of figures, and the page's names for them; the page has other values for a dark screen."""


def inline(text: str, name: str, label: str) -> Markup:
    """An SVG file as an element: ids prefixed with `name`, `label` read aloud in place of the picture."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    text = _coloured(_prefixed(text, name))
    return Markup(_opened(text, label))


def _prefixed(text: str, name: str) -> str:
    """Ids made this figure's own, wherever they are defined or used."""
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def _coloured(text: str) -> str:
    """Colours by the page's names inside tags; white separators become the page's paper, white text stays."""

    def recolour(tag: re.Match[str]) -> str:
        found = tag[0]
        for colour, variable in COLOURS.items():
            found = found.replace(colour, f"var(--{variable},{colour})")
        return found if found.startswith("<text") else found.replace("#ffffff", "var(--paper,#ffffff)")

    return re.sub(r"<(?:text|path|use|g|rect|line)\b[^>]*>", recolour, text)


def _opened(text: str, label: str) -> str:
    """The opening tag: sized by its view box, twice its size on paper where there is room, and with a name."""
    start, rest = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', start)
    assert box is not None
    width = float(box[1].split()[2])
    safe = Markup.escape(label)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" '
        f'role="img" aria-label="{safe}" style="width:{width * 1.95:.0f}px">{rest}'
    )
