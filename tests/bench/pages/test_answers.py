"""The boxes at the top of the report say, for each kind, which estimator, how much better, how sure, how biased."""

import pandas as pd
import pytest

from bench.analysis.winners import BiasBound, kind_winners, winners_by_size
from bench.pages.answers import answers, bias_in_words
from bench.pages.report import report_page
from tests.bench.pages.test_report import Reader
from tests.support.tables import table


def test_a_box_per_kind_opens_with_the_largest_number_of_samples():
    boxes = answers(kind_winners(table()))
    assert [(box.kind, box.problems) for box in boxes] == [
        ("bits", "2 problems"), ("smooth continuous", "1 problem"), ("other", "1 problem"),
    ]  # fmt: skip
    first = boxes[0].answer
    assert first.about == "n = 10" and [other.about for other in boxes[0].others] == ["n = 2"]
    assert first.bias == "leave-one-out itself; bias at most 0.21 % on 2 problems" and first.ties == ""
    assert [row.other for row in first.against] == ["the next best, reinforce"]
    lead = first.against[0]
    assert lead.ratios["samples"].value == pytest.approx(0.2)
    assert (lead.decided_at, lead.others_problems) == ("seconds", "0.24–0.24")
    assert boxes[1].answer.against[0].others_problems == ""


def test_a_box_of_several_sizes_has_an_answer_for_each():
    bits, *others = answers(kind_winners(table()), winners_by_size(table()))
    assert bits.answer.about == "all sizes, n = 10" and list(bits.sizes) == [5, 200]
    assert [each.about for each in bits.sizes.values()] == ["5 bits, n = 10", "200 bits, n = 10"]
    assert all(each.estimator == "rloo" and "on 1 problem" in each.bias for each in bits.sizes.values())
    assert not any(box.sizes for box in others)
    text = Reader(report_page(table(), [])).text
    assert "200 bits, n = 10 rloo leave-one-out itself; bias at most 0.21 % on 1 problem" in text


def test_a_winner_is_compared_with_leave_one_out_and_with_the_next_best():
    frame = table(problems=2)
    best = pd.DataFrame(frame[frame["estimator"] == "rloo"])
    half = best["metric"].isin(["variance", "variance_per_evaluation", "work_normalised_variance"])
    values = {name: best[name].where(~half, best[name] / 2) for name in ("value", "ci_low", "ci_high")}
    more = best.assign(estimator="disarm", cell=best["cell"] + "d", **values)
    (box,) = answers(kind_winners(pd.concat([frame, more])))
    assert box.answer.estimator == "disarm"
    assert [row.other for row in box.answer.against] == ["leave-one-out, rloo"]  # it is the next best too
    assert box.answer.against[0].ratios["seconds"].value == pytest.approx(0.5)


def test_a_bias_in_words():
    nan = float("nan")
    assert bias_in_words(BiasBound(nan, 0, 0.3, 1)) == "bias on 1 unclear, at most 30 %"
    assert bias_in_words(BiasBound(nan, 0, nan, 1)) == "bias on 1 unclear, at most an unknown size"
    assert bias_in_words(BiasBound(nan, 0, nan, 0)) == "bias not judged at this number of samples"
    assert bias_in_words(BiasBound(0.01, 3, 25.4, 1)) == "bias at most 1 % on 3 problems; on 1 unclear, at most 2600 %"


def test_the_first_thing_on_the_page_is_the_answer():
    text = Reader(report_page(table((2,), problems=1), [])).text
    assert text.index("Which unbiased estimator?") < text.index("Summary", text.index("Environment"))
    assert "n = 2 rloo leave-one-out itself" in text
