"""Every figure draws what is in the table, and nothing else; nothing leaks into matplotlib's globals."""

import inspect
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from bench import plots
from bench.plots.panels import pareto
from bench.plots.style import colours_and_markers, on_lines, save
from bench.tables.wide import wide_table
from estimators.errors import BadInput
from tests.support.tables import PROBLEMS, cell, table, typed, varied

FIGURES = [getattr(plots, name) for name in plots.__all__ if name != "save"]
VARIED = (plots.trajectory, plots.fitting, plots.throughput_by_batch, plots.distance_from_limit)
"""What draws only where there are several points, batches or fits."""
each = pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]  # type: ignore[attr-defined]
    return " | ".join(text for text in found if text)


@cache
def whole(draw: Callable[..., Figure]) -> Figure:
    """The figure of a full table, drawn once for the tests that look at it."""
    return draw(wide_varied() if draw in VARIED else wide())


@cache
def wide(samples: tuple[int, ...] = (2, 10), problems: int = 4) -> pd.DataFrame:
    """The table with one row for each cell, which all figures need first: made once."""
    return wide_table(table(samples, problems))


@cache
def wide_varied() -> pd.DataFrame:
    return wide_table(varied())


@cache
def single(name: str, settings: str, problem: int) -> pd.DataFrame:
    """A table of one cell."""
    return wide_table(typed(pd.DataFrame(cell((name, settings), PROBLEMS[problem], 2))))


@each
def test_a_full_table_makes_a_figure_and_files(draw: Callable[..., Figure], tmp_path: Path):
    figure = whole(draw)
    assert isinstance(figure, Figure) and figure.axes
    svg = save(figure, tmp_path / "a.svg").read_text()
    assert svg.lstrip().startswith("<?xml")
    sizes = [text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text()]  # type: ignore[attr-defined]
    assert min(sizes) >= 6 and figure.get_figwidth() < 6.8


def test_the_same_table_gives_the_same_file(tmp_path: Path):
    first, second = (save(plots.ranking(table((2,), 2)), tmp_path / f"{i}.svg").read_text() for i in range(2))
    assert first == second
    assert save(whole(plots.ranking), tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


@each
def test_an_empty_table_makes_a_figure_that_says_so(draw: Callable[..., Figure]):
    figure = draw(table().iloc[:0])
    assert not figure.axes
    assert texts(figure).startswith("no ")


@each
def test_a_single_cell_makes_a_figure(draw: Callable[..., Figure]):
    draw(single("rloo", "{}", 0))
    draw(single("gumbel_softmax", "{}", 2))


@each
def test_a_name_with_dollars_and_tags_is_drawn_as_it_is(draw: Callable[..., Figure], tmp_path: Path):
    hostile = "$\\frac{<script>"
    named = (varied() if draw in VARIED else table((2,), 1)).replace(
        {"estimator": {"rloo": hostile, "gumbel_softmax": hostile}}
    )
    found = save(draw(named), tmp_path / "a.svg")
    assert "<script" not in found.read_text()
    assert "&lt;script&gt;" in found.read_text()


@pytest.mark.parametrize("value", [1.7e308, 5e-324])
@pytest.mark.parametrize("draw", [plots.variance_by_samples, plots.ranking])
def test_the_largest_and_the_smallest_numbers_are_drawn(draw: Callable[..., Figure], tmp_path: Path, value: float):
    """Fault C18."""
    rows = table((2,), problems=2)
    extreme = (rows["metric"].isin(["variance", "mse"]) & (rows["estimator"] == "rloo")).fillna(False)
    rows.loc[extreme, ["value", "ci_low", "ci_high"]] = [value, value / 2, value]
    assert save(draw(rows), tmp_path / "figure.svg").stat().st_size > 1000


@each
def test_a_figure_shows_itself_in_a_notebook_without_pyplot(draw: Callable[..., Figure]):
    assert draw(table().iloc[:0])._repr_svg_().count("<svg") == 1  # type: ignore[attr-defined]


def test_no_global_style_or_backend_changes():
    def settings():  # reading the backend by its key would choose one
        return {key: dict.__getitem__(mpl.rcParams, key) for key in mpl.rcParams}

    before, figures = settings(), pyplot.get_fignums()
    plots.relative_variance(wide())
    plots.variance_by_time(wide())
    assert settings() == before
    assert pyplot.get_fignums() == figures


def test_every_measured_series_is_drawn_with_its_interval_and_no_other():
    figure = whole(plots.variance_by_samples)
    panels = {axes.get_title().replace("\n", " / "): axes for axes in figure.axes if axes.get_title()}
    assert set(panels) == {"quadratic_bits / bernoulli(size=5)", "quadratic_bits / bernoulli(size=200)",
                           "linear / normal", "vae / amortised"}  # fmt: skip
    drawn = {title: [c for c in axes.containers if isinstance(c, ErrorbarContainer)] for title, axes in panels.items()}
    assert [len(drawn[title]) for title in panels] == [5, 5, 3, 5]
    assert all(container.has_yerr for containers in drawn.values() for container in containers)
    reinforce = drawn["linear / normal"][0].lines[0]
    assert np.asarray(reinforce.get_ydata()) == pytest.approx([6.0, 1.2])
    assert "at 0: exact" in texts(figure)


def test_a_long_title_stays_within_its_figure():
    problem = ("categorical", '{"categories":3,"size":2}', "logistic_regression", "{}", 4)
    other = ("categorical", '{"categories":12,"size":200}', "logistic_regression", "{}", 4)
    third = ("categorical", '{"categories":5,"size":1000}', "logistic_regression", "{}", 4)
    rows = [row for which in (problem, other, third) for n in (2, 4) for row in cell(("rloo", "{}"), which, n)]
    figure = plots.variance_by_samples(typed(pd.DataFrame(rows)))
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


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


def test_the_ranking_has_a_panel_per_kind_and_sets_apart_what_cannot_be_compared():
    figure = plots.ranking(table(), equal="samples")
    panels = {axes.get_title(loc="right"): axes for axes in figure.axes if axes.get_title(loc="right")}
    assert set(panels) == {"bits: 2 problems", "smooth continuous: 1 problem", "other: 1 problem"}
    bits = panels["bits: 2 problems"]
    names = [label.get_text() for label in bits.get_yticklabels()]
    assert names[-1] == "exact" and "0: no variance" in texts(figure)
    rloo = [bar for bar in bars(bits) if np.allclose(np.asarray(bar.lines[0].get_xdata(), float), 0.2)]
    assert len(rloo) == 2 and all(bar.has_xerr for bar in rloo)  # noise of measuring, and choice of problems
    assert "at equal samples" in figure.get_supxlabel()
    with pytest.raises(BadInput, match="no quantity 'second' to hold equal; did you mean 'seconds'"):
        plots.ranking(table(), equal="second")


def bars(axes: Axes) -> list[ErrorbarContainer]:
    return [each for each in axes.containers if isinstance(each, ErrorbarContainer)]


def test_the_trajectory_goes_through_the_points_in_turn():
    figure = whole(plots.trajectory)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["start", "trained"]
    reinforce = bars(axes)[0]
    assert np.asarray(reinforce.lines[0].get_ydata())[:2] == pytest.approx([5.0, 0.5]) and reinforce.has_yerr
    assert "extreme" not in texts(plots.trajectory(varied().replace({"point": {"start": "extreme"}})))


def test_throughput_is_drawn_against_the_batch_with_the_limit_where_it_was_measured():
    rows = wide_table(varied()).assign(random_seconds_per_estimate=1e-5)
    unlimited = pd.DataFrame(varied()[varied()["metric"] != "random_seconds_per_estimate"])
    axes = plots.throughput_by_batch(rows).axes[0]
    assert np.asarray(bars(axes)[0].lines[0].get_xdata()).tolist() == [64, 256]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed and np.asarray(dashed[0].get_ydata()) == pytest.approx([1e5, 1e5])
    assert not [
        line for line in plots.throughput_by_batch(wide_table(unlimited)).axes[0].lines if line.get_linestyle() == "--"
    ]


def test_each_timed_cell_stands_beside_its_random_numbers():
    rows = wide_table(table(problems=2)).assign(random_seconds_per_estimate=5e-5)
    rows = rows.assign(random_seconds_per_estimate_low=5e-5, random_seconds_per_estimate_high=5e-5)
    axes = plots.distance_from_limit(rows).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(dict.fromkeys(rows["estimator"]))
    reinforce = np.asarray(bars(axes)[0].lines[0].get_xdata())
    assert sorted(set(reinforce[:2].round(6))) == [4.0, 20.0] and bars(axes)[0].has_xerr
    assert not plots.distance_from_limit(table()).axes


def test_fitting_shows_who_was_fitted_and_what_that_would_have_paid_for():
    figure = whole(plots.fitting)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["rloo"]
    assert np.asarray(figure.axes[1].lines[0].get_xdata())[0] == pytest.approx(0.5 / (1.2e-4 * 2))


def test_hue_colours_by_another_column_and_a_wrong_one_is_said():
    figure = plots.variance_by_samples(wide(problems=2), hue="name")
    colours = {bar.lines[0].get_color() for bar in bars(figure.axes[0])}
    assert len(colours) == 4  # two Gumbel-softmaxes share one
    with pytest.raises(BadInput, match="did you mean 'verdict'"):
        plots.throughput(wide(), hue="verdit")


def test_matrices_say_more_than_by_colour():
    assert "failed (F)" in texts(whole(plots.outcome_matrix))
    assert "timeout" not in texts(whole(plots.outcome_matrix))
    assert "biased (B)" in texts(whole(plots.bias_matrix))


def test_an_unclear_field_says_which_bound_was_reached():
    rows = wide_table(table())
    said = texts(plots.bias_matrix(rows))
    assert said.count("≤0.0021") == 4 and "?" not in said
    assert "?" in texts(plots.bias_matrix(rows.assign(relative_bias_high=np.nan)))
    larger = rows["relative_bias_high"].where(rows["samples"] != 2, 0.3365)
    assert texts(plots.bias_matrix(rows.assign(relative_bias_high=larger))).count("≤0.34") == 4


@pytest.mark.parametrize("length", [12, 20, 29, 48])
@pytest.mark.parametrize(
    "label",
    ["quadratic_bits(t=0.499) / bernoulli(size=200)", "logistic_regression / multivariate_normal(size=31), trained",
     "x" * 60, "a / b"],
)  # fmt: skip
def test_a_label_on_lines_loses_nothing(label: str, length: int):
    lines = on_lines(label, length, most=20).split("\n")
    assert max(map(len, lines)) <= length
    assert "".join(lines).replace(" ", "") == label.replace(" / ", "").replace(" ", "")


def test_a_title_names_every_setting_that_varies():
    problems = [
        ("categorical", f'{{"categories":{k},"size":200}}', "logistic_regression", f'{{"penalty":0.{k}}}', 4)
        for k in (3, 12)
    ]
    rows = [row for which in problems for n in (2, 4) for row in cell(("rloo", "{}"), which, n)]
    rows += [row for n in (2, 4) for row in cell(("rloo", "{}"), (*problems[0][:1], '{"size":5}', *problems[0][2:]), n)]
    figure = plots.variance_by_samples(typed(pd.DataFrame(rows)))
    titles = [axes.get_title().replace("\n", "") for axes in figure.axes]
    assert "logistic_regression(penalty=0.12)categorical(categories=12, size=200)" in [
        t.replace(",s", ", s") for t in titles
    ]


def test_not_applicable_at_one_number_of_samples_does_not_hide_what_was_measured_at_another():
    frame = table((2,), 1)
    other = frame.drop_duplicates("cell").assign(
        samples=3, status="not_applicable", reason="odd", metric=None, value=None, cell=lambda rows: rows["cell"] + "3"
    )
    assert "not applicable" not in texts(plots.outcome_matrix(pd.concat([frame, other])))
    assert "not applicable" in texts(plots.outcome_matrix(other))


def test_an_order_is_kept_and_so_are_the_looks():
    figure = plots.bias_matrix(table(), order=["rloo", "nobody", "exact"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["rloo", "exact"]
    assert len(set(colours_and_markers([str(i) for i in range(64)]).values())) == 64


@each
def test_it_is_a_function_from_a_table_to_a_figure_in_an_order(draw: Callable[..., Figure]):
    asked = inspect.signature(draw, eval_str=True)
    first = next(iter(asked.parameters.values()))
    assert (first.name, first.annotation, asked.return_annotation) == ("table", pd.DataFrame, Figure)
    assert "order" in asked.parameters and inspect.getdoc(draw)
    assert all(each.default is not inspect.Parameter.empty for each in list(asked.parameters.values())[1:])
    coloured = draw not in (plots.bias_matrix, plots.outcome_matrix, plots.relative_variance, plots.ranking)
    assert ("hue" in asked.parameters) == coloured  # the others' colours are ratios, statuses and verdicts
    if coloured:
        with pytest.raises(BadInput, match="to colour by"):
            draw(wide_varied(), hue="nothing")
        assert draw(wide_varied() if draw in VARIED else wide((2,), 1), hue="name").axes


MEASURED = (plots.scale_and_cosine, plots.ranking, plots.trajectory, plots.distance_from_limit, *(
    getattr(plots, name) for name in plots.__all__ if name.startswith(("variance", "throughput"))
))  # fmt: skip


@pytest.mark.parametrize("draw", MEASURED, ids=lambda draw: draw.__name__)
def test_intervals_are_drawn_and_log_axes_are_labelled(draw: Callable[..., Figure]):
    figure = whole(draw)
    assert all(bar.has_xerr or bar.has_yerr for axes in figure.axes for bar in bars(axes))
    assert any(bars(axes) for axes in figure.axes)
    figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            said = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]
            assert axis.get_scale() != "log" or len(said) >= (1 if high / low <= 4.1 else 2)
