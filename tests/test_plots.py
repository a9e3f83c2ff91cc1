"""Every figure draws what is in the table, and nothing else; nothing leaks into matplotlib's globals."""

import inspect
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from bench import plots
from bench.plots.panels import pareto
from bench.plots.style import looks, save
from tests.tables import PROBLEMS, cell, table, typed

FIGURES = [getattr(plots, name) for name in plots.__all__ if name != "save"]
each = pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]  # type: ignore[attr-defined]
    return " | ".join(text for text in found if text)


@each
def test_a_full_table_makes_a_figure_and_files(draw: Callable[..., Figure], tmp_path: Path):
    figure = draw(table(problems=3))
    assert isinstance(figure, Figure) and figure.axes
    svg = save(figure, tmp_path / "a.svg").read_text()
    assert svg.lstrip().startswith("<?xml")
    sizes = [text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text()]  # type: ignore[attr-defined]
    assert min(sizes) >= 6 and figure.get_figwidth() < 6.8


def test_the_same_table_gives_the_same_file(tmp_path: Path):
    first, second = (save(plots.ranking(table()), tmp_path / f"{i}.svg").read_text() for i in range(2))
    assert first == second
    assert save(plots.ranking(table()), tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


@each
def test_an_empty_table_makes_a_figure_that_says_so(draw: Callable[..., Figure]):
    figure = draw(table().iloc[:0])
    assert not figure.axes
    assert texts(figure).startswith("no ")


@each
def test_a_single_cell_makes_a_figure(draw: Callable[..., Figure]):
    draw(typed(pd.DataFrame(cell(("rloo", "{}"), PROBLEMS[0], 2))))
    draw(typed(pd.DataFrame(cell(("gumbel_softmax", "{}"), PROBLEMS[2], 2))))


@each
def test_a_name_with_dollars_and_tags_is_drawn_as_it_is(draw: Callable[..., Figure], tmp_path: Path):
    hostile = "$\\frac{<script>"
    found = save(
        draw(table((2,), 1).replace({"estimator": {"rloo": hostile, "gumbel_softmax": hostile}})), tmp_path / "a.svg"
    )
    assert "<script" not in found.read_text()
    assert "&lt;script&gt;" in found.read_text()


def test_no_global_style_or_backend_changes():
    def settings():  # reading the backend by its key would choose one
        return {key: dict.__getitem__(mpl.rcParams, key) for key in mpl.rcParams}

    before, figures = settings(), pyplot.get_fignums()
    plots.relative_variance(table())
    plots.variance_by_time(table())
    assert settings() == before
    assert pyplot.get_fignums() == figures


def test_every_measured_series_is_drawn_with_its_interval_and_no_other():
    figure = plots.variance_by_samples(table())
    panels = {axes.get_title().replace("\n", " / "): axes for axes in figure.axes if axes.get_title()}
    assert set(panels) == {"quadratic_bits / bernoulli(size=5)", "quadratic_bits / bernoulli(size=200)",
                           "linear / normal", "vae / amortised"}  # fmt: skip
    drawn = {title: [c for c in axes.containers if isinstance(c, ErrorbarContainer)] for title, axes in panels.items()}
    assert [len(drawn[title]) for title in panels] == [5, 5, 3, 5]
    assert all(container.has_yerr for containers in drawn.values() for container in containers)
    reinforce = drawn["linear / normal"][0].lines[0]
    assert np.asarray(reinforce.get_ydata()) == pytest.approx([6.0, 1.2])
    assert "at 0: exact" in texts(figure)


def test_the_slope_is_minus_one():
    axes = plots.variance_by_samples(table((1, 10, 100), problems=1)).axes[0]
    slope = next(line for line in axes.lines if line.get_zorder() == 0)
    x, y = np.asarray(slope.get_xdata(), float), np.asarray(slope.get_ydata(), float)
    assert np.diff(np.log(y)) / np.diff(np.log(x)) == pytest.approx(-1)


def test_the_pareto_front_is_what_nothing_beats():
    x, y = np.random.default_rng(0).uniform(size=(2, 200))
    front = set(pareto(x, y).tolist())
    beaten = {i for i in range(200) if ((x <= x[i]) & (y <= y[i]) & ((x < x[i]) | (y < y[i]))).any()}
    assert front == set(range(200)) - beaten


def test_the_heat_map_shows_ratios_intervals_and_what_is_unclear():
    figure = plots.relative_variance(table((10,)), equal="seconds")
    assert "0.24\n" in texts(figure)
    assert "0.99 ?" in texts(figure)
    assert "reinforce's" in texts(figure)


def test_matrices_say_more_than_by_colour():
    assert "failed (F)" in texts(plots.outcome_matrix(table()))
    assert "timeout" not in texts(plots.outcome_matrix(table()))
    assert "biased (B)" in texts(plots.bias_matrix(table()))


def test_an_order_is_kept_and_so_are_the_looks():
    figure = plots.bias_matrix(table(), order=["rloo", "nobody", "exact"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["rloo", "exact"]
    assert len(set(looks([str(i) for i in range(64)]).values())) == 64


def test_every_function_says_what_it_draws():
    assert all(inspect.getdoc(draw) for draw in FIGURES)
