"""The common style of all figures, set only while a figure is made: matplotlib's global settings do not change."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.tables.writing import replace, replace_text

COLUMN_WIDTH, PAGE_WIDTH = 3.35, 6.75
"""Widths of one and two columns of a paper, in inches."""
DPI = 200
"""Resolution of a PNG, in dots per inch."""
INK, GRID, BASELINE_COLOUR = "#26282c", "#c9ccd1", "#6b7078"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#4b4f9e")
"""Okabe and Ito's colours without yellow and black, and two more: distinct for colour-blind readers."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
VERDICTS = {"unbiased": "#1f77b4", "unclear": "#d9d9d9", "biased": "#c85200"}
STATUSES = {
    "not_applicable": "#dcdcdc",
    "ok": "#1f77b4",
    "failed": "#c85200",
    "timeout": "#e7a11b",
    "crashed": "#c97aa9",
    "out_of_memory": "#8a5a4e",
    "nonfinite": "#4d52a3",
}
"""Colours by status, from the least informative to the worst: of several cells, the last in this order is shown."""
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "text.parse_math": False,  # a plug-in's name may hold a dollar sign
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "gradest",
}


@contextmanager
def styled() -> Iterator[None]:
    """Sets seaborn's white grid with our sizes and colours, within the block only."""
    with sns.axes_style("whitegrid"), mpl.rc_context(_STYLE):
        yield


class NotebookFigure(Figure):
    """A figure without pyplot that notebooks still display."""

    def _repr_svg_(self) -> str:
        return as_svg(self)


def blank(width: float = PAGE_WIDTH, height: float = 2.4) -> Figure:
    """Returns an empty figure of this size in inches, without a backend: seaborn's intermediate draws cost nothing."""
    return NotebookFigure(figsize=(width, height), layout="constrained")


def empty(message: str) -> Figure:
    """Returns a figure with a message that says why there is nothing to draw."""
    with styled():
        figure = blank(PAGE_WIDTH, 1.0)
        figure.set_layout_engine("none")  # there is nothing to lay out
        figure.text(0.5, 0.5, message, ha="center", va="center", wrap=True)
        return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Writes the figure as SVG if the path ends in .svg, else as PNG; the same figure gives the same file."""
    path = Path(path)
    if path.suffix == ".svg":
        replace_text(path, as_svg(figure))
        return path
    with _drawing(figure, DPI):
        canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
        replace(path, lambda new: canvas.print_png(new, pil_kwargs={"compress_level": 3, "format": "png"}))
    return path


def as_svg(figure: Figure) -> str:
    """Returns the figure as the text of an SVG file."""
    buffer = io.StringIO()
    with _drawing(figure, 72):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


@contextmanager
def _drawing(figure: Figure, dpi: int) -> Iterator[None]:
    """Lays the figure out once for all its files and sets `dpi` within the block, so that each file is drawn once.

    The layout uses the canvas and the resolution of a PNG, so that a PNG does not measure its texts again.
    `Figure.savefig` would draw twice each time, to lay out and to paint.
    """
    before, engine = figure.dpi, figure.get_layout_engine()
    with styled():
        try:
            if engine is not None:
                figure.set_dpi(DPI)
                figure.set_canvas(FigureCanvasAgg(figure))
                engine.execute(figure)
                figure.set_layout_engine("none")
            canvas = figure.canvas
            figure.set_dpi(dpi)
            yield
            figure.set_canvas(canvas)
        finally:
            figure.set_dpi(before)


def colours_and_markers(names: Sequence[str], order: Sequence[str] | None = None) -> dict[str, tuple[str, str]]:
    """Returns a colour and a marker per name, by its place in `order`; 64 names get 64 different looks.

    >>> colours_and_markers(["rloo"], order=["reinforce", "rloo"])
    {'rloo': ('#d55e00', 's')}
    """
    places = {name: i for i, name in enumerate(dict.fromkeys([*(order or ()), *names]))}
    return {
        name: (PALETTE[i % len(PALETTE)], MARKERS[(i + i // len(PALETTE)) % len(MARKERS)])
        for name, i in ((name, places[name]) for name in names)
    }


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain_number(value: float) -> str:
    """Returns a number with at most three significant digits, as a power of ten if very large or small.

    >>> plain_number(1e-5), plain_number(0.25), plain_number(2e6), plain_number(0.0)
    ('10⁻⁵', '0.25', '2×10⁶', '0')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    if not math.isfinite(value):
        return "∞" if value > 0 else "—"
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa}×{power}"


def log_axis(axis: Axis, *, seconds: bool = False) -> None:
    """Sets two to five ticks with plain numbers on a log axis; with `seconds`, numbers such as `200 ns`."""
    low, high = sorted(axis.get_view_interval())
    most = 3 if seconds else 5
    axis.set_major_locator(FixedLocator(log_ticks(low, high, most)) if low > 0 else LogLocator(10, numticks=6))
    written = EngFormatter("s") if seconds else FuncFormatter(lambda value, _: plain_number(float(value)))
    axis.set_major_formatter(written)
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round ticks between the ends: powers of ten, else also 2 and 5 times these, else all of one digit.

    >>> log_ticks(0.9, 1100.0), log_ticks(3.0, 30.0), log_ticks(3.1, 4.9)
    ([1.0, 10.0, 100.0, 1000.0], [5.0, 10.0, 20.0], [3.1, 4.9])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5), range(1, 10)):
        found = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) >= (3 if len(digits) == 1 else 2):
            return found[:: math.ceil(len(found) / most)]
    return [float(f"{low:.2g}"), float(f"{high:.2g}")]


def grid_shape(panels: int, across: int = 3) -> tuple[int, int]:
    """Returns rows and columns for this many panels."""
    columns = min(across, panels)
    return math.ceil(panels / columns), columns


def shorten(text: str, length: int = 34) -> str:
    """Returns the text shortened to `length` characters by cutting its middle, because labels differ at their ends.

    >>> shorten("logistic_regression / normal(size=31), trained", 24)
    'logistic_regre…, trained'
    """
    end = length * 3 // 8
    return text if len(text) <= length else f"{text[: length - 1 - end]}…{text[-end:]}"


def on_lines(text: str, length: int = 34, most: int = 6) -> str:
    """Returns a problem's label on lines of at most `length` characters: objective, then distribution.

    Lines break after an underscore, a bracket, a comma or a space, so that every setting stays readable; what is longer
    than `most` lines loses its middle.

    >>> print(on_lines("logistic_regression / multivariate_normal(size=31), trained", 20))
    logistic_regression
    multivariate_normal(
    size=31), trained
    """
    lines = []
    for part in re.split(r" / ", text, maxsplit=1):
        lines.append("")
        for piece in re.findall(rf".{{1,{length}}}?(?:(?<=[_(, ])|$)|.{{{length}}}", part):
            if len((lines[-1] + piece).rstrip()) > length:
                lines.append("")
            lines[-1] += piece
    lines = [line.strip() for line in lines if line.strip()]
    return "\n".join(lines if len(lines) <= most else [*lines[: most // 2], "…", *lines[-(most // 2) + 1 :]])


def bound_text(value: float) -> str:
    """Returns an upper bound with two digits, rounded up, so that what is said to be below it is.

    >>> bound_text(0.3365), bound_text(0.5), bound_text(12.01), bound_text(0.0)
    ('0.34', '0.5', '13', '0')
    """
    if not 0 < value < math.inf:
        return plain_number(value)
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return plain_number(float(f"{math.ceil(value / digit - 1e-9) * digit:.2g}"))
