"""What an audit says of streams that were built right and wrong."""

import json

import numpy as np
import pytest
import torch

import bench
from bench.audits import streams
from bench.audits.result import Audit, audit_page
from estimators.errors import BadInput

G = np.array([1.0, -2.0, 0.5])
QUICK = {"exact": G, "rarest": 1e-4, "replicates": 65_536}
"""With this a bias is said after 30,000 estimates, in a test of less than a second."""


def normal(seed, count, sd=1.0, mean=G):
    return mean + sd * np.random.default_rng(seed).standard_normal((count, len(mean)))


def other(seed):
    """A generator for what is added: independent of `normal`'s."""
    return np.random.default_rng([seed, 1])


STREAMS = {
    "a bias in one coordinate": lambda seed, count: normal(seed, count) + np.array([0, 0, 0.2]),
    "a rare bias": lambda seed, count: normal(seed, count) + 10.0 * (other(seed).random((count, 1)) < 0.02),
    "dependence": lambda seed, count: normal(seed, count) + 0.3 * other(seed).standard_normal((1, 3)),
    "heavy tails": lambda seed, count: G + other(seed).standard_t(1.5, size=(count, 3)),
    "a swapped sign": lambda seed, count: normal(seed, count) * [1, -1, 1],
    "a seed that repeats": lambda seed, count: normal(seed % 8, count),
}
SAID = {
    "a bias in one coordinate": ("biased", "the relative bias is above"),
    "a rare bias": ("biased", "the relative bias is above"),
    "dependence": ("unclear", "the replicates of a chunk depend on each other"),
    "heavy tails": ("unclear", "the variance"),
    "a swapped sign": ("biased", "the relative bias is above 1"),
    "a seed that repeats": ("unclear", "estimates repeat"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_was_built_wrong_is_judged_rightly(name):
    found = bench.audit(STREAMS[name], **QUICK)
    word, reason = SAID[name]
    assert found.verdict == word and reason in found.sentence, found.sentence
    assert found.failed == (word == "biased") and found.conclusive == (word != "unclear")


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_stream_as_an_array_is_judged_alike(name):
    rows = np.concatenate([STREAMS[name](seed, 1024) for seed in range(64)])
    found = bench.audit(rows, count=1024, **QUICK)
    assert found.verdict == SAID[name][0], found.sentence


def test_a_stream_that_was_built_right_is_unbiased():
    found = bench.audit(normal, **QUICK)
    assert found.verdict == "unbiased" and not found.failed and found.conclusive
    table = found.table.set_index("metric")
    assert table.loc["variance", "ci_low"] < 3 < table.loc["variance", "ci_high"]
    assert table.loc["snr", "ci_low"] < np.linalg.norm(G) / 3**0.5 < table.loc["snr", "ci_high"]
    assert table.loc["cosine", "value"] > 0.99 and table.loc["tail_index", "value"] > 4
    assert table.loc["dependence", "value"] == pytest.approx(1, abs=0.9)


def test_the_worst_coordinate_comes_first():
    found = bench.audit(STREAMS["a swapped sign"], **QUICK)
    worst = found.coordinates.iloc[0]
    assert worst["coordinate"] == 1 and worst["mean"] == pytest.approx(2, abs=0.05) and worst["z"] > 100
    noisy = bench.audit(lambda seed, count: normal(seed, count) * [1, 1, 9])
    assert noisy.coordinates.iloc[0]["coordinate"] == 2


def test_a_mean_that_points_away_is_said():
    assert "is a sign swapped?" in bench.audit(lambda seed, count: -normal(seed, count), **QUICK).sentence
    assert "sign" not in bench.audit(normal, **QUICK).sentence


def test_a_bias_is_said_only_where_no_unseen_event_may_explain_it():
    """Without `rarest`, a million estimates are needed; the answer says which number makes the claim."""
    rows = normal(0, 8192) + np.array([0, 0, 0.5])
    found = bench.audit(rows, exact=G)
    assert found.verdict == "unclear" and "an unseen event rarer than 0.0004" in found.sentence
    assert "rarest = 0.00037" in found.sentence
    assert bench.audit(rows, exact=G, rarest=0.00037).verdict == "biased"
    waiting = normal(0, 8192) - np.array([0, 0, 0.5])  # unbiased, if 50,000 with a chance of 1e-5 has not come up
    assert bench.audit(waiting, exact=G).verdict == "unclear"


def test_the_part_of_an_array_that_is_held_back_must_reject_too(monkeypatch):
    """The first quarter is off, the other three quarters are right: all rows together reject zero bias.

    The test of independence, which sees such rows too, is silenced.
    """
    rows = normal(0, 16_384)
    rows[:4096, 2] += 0.6
    given = {"exact": G, "rarest": 1e-3}
    assert "depend on each other" in bench.audit(rows, **given).sentence
    monkeypatch.setattr("bench.statistics.verdict.dependent", lambda *_: None)
    found = bench.audit(rows, **given)
    assert found.verdict == "unclear"
    assert found.table.set_index("metric").loc["bias_pvalue", "value"] < 1e-5
    method = found.table.set_index("metric").loc["relative_bias", "method"]
    assert "the other three quarters, which are held back" in method
    monkeypatch.setattr("bench.statistics.verdict.confirmed", lambda *_: True)
    assert bench.audit(rows, **given).verdict == "biased"


def test_two_sources_of_one_mean_are_the_same():
    found = bench.audit(normal, against=lambda seed, count: normal(seed, count, sd=2.0))
    assert (found.verdict, found.difference) == ("", "same") and found.conclusive and not found.failed
    ratio = found.table.set_index("metric").loc["variance_ratio"]
    assert ratio["ci_low"] < 0.25 < ratio["ci_high"]


def test_two_sources_of_other_means_differ():
    found = bench.audit(normal, against=STREAMS["a bias in one coordinate"], rarest=1e-4)
    assert found.difference == "differs" and found.failed
    assert found.coordinates.iloc[0]["coordinate"] == 2
    row = found.table.set_index("metric").loc["relative_difference"]
    truth = 0.2 / np.linalg.norm(G + np.array([0, 0, 0.2]))
    assert row["ci_low"] < truth < row["ci_high"] and row["verdict"] == "differs"


def test_a_difference_waits_for_unseen_events_too():
    found = bench.audit(normal(0, 8192), against=normal(1, 8192) + np.array([0, 0, 0.5]))
    assert found.difference == "unclear" and "differs is said only from 1,000,000" in found.sentence


def test_the_noise_of_both_counts():
    """A mean of 512 noisy rows: as an exact gradient it makes right estimates biased; as `against` it does not."""
    wrong, right = [], []
    for seed in range(4):
        rows, few = normal(2 * seed, 16_384), normal(2 * seed + 1, 512, sd=3.0)
        wrong.append(bench.audit(rows, exact=few.mean(0), rarest=1e-3).verdict)
        right.append(bench.audit(rows, against=few, rarest=0.1).difference)
    assert wrong.count("biased") >= 3, wrong
    assert set(right) == {"unclear"}, right


def test_the_direction_of_a_difference_comes_from_rows_that_are_held_back(monkeypatch):
    """Many coordinates and no mean: a direction of the same rows would see its own noise as a difference."""
    a, b = (np.random.default_rng(seed).standard_normal((2048, 400)) for seed in (0, 1))

    def pvalue():
        found = bench.audit(a, against=b)
        return found.table.set_index("metric").loc["difference_pvalue", "value"]

    assert pvalue() > 0.01
    monkeypatch.setattr(streams, "direction", lambda *_: b.mean(0))
    assert pvalue() < 1e-6


def test_the_interval_of_a_difference_holds_the_truth():
    """20 studies, of which 19 should: fewer than 12 with a chance below 1e-6."""
    shift, hits = np.array([0.1, 0.0, 0.0]), 0
    for seed in range(20):
        found = bench.audit(normal(2 * seed, 1024), against=normal(2 * seed + 1, 1024, mean=G + shift, sd=1.5))
        row = found.table.set_index("metric").loc["difference"]
        hits += row["ci_low"] <= 0.1 <= row["ci_high"]
    assert hits >= 12


def test_a_mean_that_may_be_zero_is_no_unit():
    found = bench.audit(normal(0, 4096, mean=0.0 * G), against=normal(1, 4096, mean=0.0 * G))
    assert found.difference == "unclear" and "is not told apart from zero" in found.sentence
    row = found.table.set_index("metric").loc["relative_difference"]
    assert np.isinf(row["ci_high"])
    assert json.loads(found.to_json())["difference"] == "unclear"


def test_values_that_are_not_finite_are_found_and_placed():
    rows = normal(0, 4096)
    rows[[1234, 3000], 1] = np.nan, np.inf
    found = bench.audit(rows, exact=G)
    assert found.verdict == "unclear"
    assert "not finite: 2 of 4096; the first is row 1234" in found.sentence
    assert found.table.set_index("metric").loc["nonfinite_rate", "value"] == pytest.approx(2 / 4096)
    with pytest.raises(BadInput, match="none of 256 estimates is finite"):
        bench.audit(np.full((1024, 3), np.nan), exact=G)


def test_estimates_without_noise():
    still = np.tile(G, (512, 1))
    assert bench.audit(still, exact=G, rarest=0.1).verdict == "unbiased"
    assert bench.audit(still, exact=1.1 * G, rarest=0.1).verdict == "biased"
    assert bench.audit(still, exact=1.1 * G).verdict == "unclear"
    assert bench.audit(still, against=still.copy()).difference == "same"
    assert bench.audit(still, against=1.1 * still, rarest=0.1).difference == "differs"


def test_single_precision_is_forgiven_its_rounding():
    still = np.tile(G, (512, 1)) * (1 + 1e-7)
    assert bench.audit(still, exact=G, rarest=0.1, resolution=1e-8).verdict == "biased"
    assert bench.audit(still.astype(np.float32), exact=G, rarest=0.1, resolution=1e-8).verdict != "biased"


def test_the_answer_is_the_same_again_and_depends_on_the_seed():
    first, again, third = (bench.audit(normal, exact=G, seed=seed) for seed in (3, 3, 4))
    assert first.table.equals(again.table) and not first.table.equals(third.table)


def test_every_call_has_its_own_seed():
    seeds = []

    def draw(seed, count):
        seeds.append(seed)
        return normal(seed, count, sd=50.0)

    bench.audit(draw, against=draw, replicates=65_536)
    assert len(set(seeds)) == len(seeds) > 100 and all(0 <= seed < 2**31 for seed in seeds)


def test_tensors_and_functions_of_tensors():
    rows = torch.as_tensor(normal(0, 4096)).requires_grad_()
    assert bench.audit(rows, exact=torch.as_tensor(G), resolution=0.1).verdict == "unbiased"
    assert bench.audit(lambda seed, count: torch.as_tensor(normal(seed, count)).float(), **QUICK).verdict == "unbiased"


def test_what_is_saved_and_shown(tmp_path):
    found = bench.audit(normal, against=normal, **QUICK, out=tmp_path / "answer")
    names = {path.name for path in (tmp_path / "answer").iterdir()}
    assert names == {"audit.html", "audit.json", "audit.csv", "coordinates.csv"}
    read = json.loads((tmp_path / "answer" / "audit.json").read_text())
    assert (read["verdict"], read["difference"]) == ("unbiased", "same") and len(read["claims"]) == 3
    assert len(read["table"]) == len(found.table)
    page = (tmp_path / "answer" / "audit.html").read_text()
    assert page.count("<tr>") == len(found.table) + len(found.coordinates) + 2 and "unbiased" in page
    assert "relative bias" in found._repr_html_().replace("_", " ")


def test_names_are_escaped_on_the_page():
    found = bench.audit(normal(0, 1024))
    hostile = Audit(found.claims, ("<script>",), found.table, found.coordinates)
    assert "<script>" not in audit_page(hostile)


ESTIMATES = np.random.default_rng(0).normal(size=(1024, 2))


def test_one_file_is_not_compared_with_itself(tmp_path):
    np.save(tmp_path / "one.npy", ESTIMATES)
    (tmp_path / "link.npy").symlink_to("one.npy")
    np.save(tmp_path / "other.npy", ESTIMATES + 1)
    for name in ("one.npy", "link.npy"):
        with pytest.raises(BadInput, match="draw and against are the same estimates"):
            bench.audit(tmp_path / "one.npy", against=str(tmp_path / name))
    assert bench.audit(tmp_path / "one.npy", against=tmp_path / "other.npy", seconds=5).claims[-1].about == "difference"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"draw": normal(0, 100)}, "has 100 rows, of which 64 can be used in chunks of 4; 256 are needed"),
        ({"draw": np.zeros(1000)}, r"has the shape \[1000\]; \[count, P\] is right"),
        ({"draw": np.zeros((1000, 3), int)}, "has the dtype int64; float32 or float64 is right"),
        ({"draw": np.array([["a"]])}, "has the dtype <U1"),
        ({"draw": "draws.txt"}, r"draw must be a file .npy, a file .py that defines draw"),
        ({"draw": normal, "exact": np.ones(4)}, r"exact has the shape \[4\]; \[3\] is right"),
        ({"draw": normal, "exact": np.array([1.0, np.nan, 1.0])}, "exact is not finite: coordinate 1 is nan"),
        ({"draw": normal, "against": np.ones((1000, 4))}, "has 3 parameters and the array against has 4"),
        ({"draw": lambda seed, count: normal(seed, count - 1)}, "has 1 rows where 2 estimates were asked for"),
        ({"draw": lambda seed, count: np.zeros((count, 2 + count % 3))}, "columns where there are"),
        ({"draw": normal, "resolution": 0.0}, "resolution must be between 0 and 1, found 0"),
        ({"draw": normal, "rarest": 1e-7}, "rarest must be at least 3e-06 and below 1, found 1e-07"),
        ({"draw": normal, "seconds": 0.0}, "seconds must be above 0, found 0"),
        ({"draw": lambda seed, count: None}, "the function draw returns None for seed .* an array is right"),
        ({"draw": normal, "count": 1000}, "count must be a power of two, such as 1024, found 1000"),
        ({"draw": normal, "count": 0}, "count must be at least 1, found 0"),
        ({"draw": normal, "count": 1024.0}, "count must be a whole number, at least 1; found 1024.0"),
        ({"draw": normal, "seed": 1.5}, "seed must be a whole number, at least 0; found 1.5"),
        ({"draw": normal, "seed": None}, "seed must be a whole number, at least 0; found None"),
        ({"draw": normal, "seed": -1}, "seed must be at least 0, found -1"),
        ({"draw": ESTIMATES, "against": ESTIMATES}, "draw and against are the same estimates"),
        ({"draw": normal, "replicates": 100}, "replicates must be at least 256, found 100"),
    ],
)
def test_bad_input_is_a_sentence(given, said):
    with pytest.raises(BadInput, match=said):
        bench.audit(**given)


def test_time_that_is_too_short_is_a_sentence():
    with pytest.raises(BadInput, match="0 estimates in 1e-09 s, 256 are needed; give more seconds"):
        bench.audit(normal, seconds=1e-9)
