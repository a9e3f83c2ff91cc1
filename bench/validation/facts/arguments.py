"""The page "Arguments, measured": what is claimed about losses over rollouts, and what the facts measured."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from bench.validation.facts.argument_findings import (
    DEVIATION_FINDINGS,
    DROPPING_FINDINGS,
    KL_FINDINGS,
    LENGTH_FINDINGS,
    Finder,
    limits_findings,
    off_policy_findings,
)
from bench.validation.facts.claims import ClaimVerdict
from bench.validation.facts.fact import FACTS
from bench.validation.facts.measured_points import GridPoint, points_in
from bench.validation.facts.page import entry, page_templates, style
from bench.validation.facts.record import FactRecord


@dataclass(frozen=True)
class Argument:
    """An argument about a loss.

    `claim`: what is claimed, and where. `find`: makes what was found from the measured points. `policy`: on which
    policy. `reach`: how far it holds. `facts`: the facts that measured it; figures are of the first and of `drawn`.
    """

    name: str
    title: str
    claim: str
    find: Finder
    policy: str
    reach: str
    facts: tuple[str, ...]
    drawn: tuple[str, ...] = ()

    def points(self, records: dict[str, FactRecord]) -> list[GridPoint]:
        """Returns the measured points of all its facts."""
        return [each for name in self.facts if name in records for each in points_in(records[name].rows)]

    def findings(self, records: dict[str, FactRecord]) -> list[ClaimVerdict]:
        """Returns what was found, each with its numbers."""
        return list(self.find(self.points(records)))


SMALL_TABLE = (
    "prefix_policy: a table of next-token logits, 2 tokens and an end token, at most 3 tokens, 2 prompts with success "
    "rates around 0.3"
)

ARGUMENTS = (
    Argument(
        "kl",
        "Which KL term gives the gradient of the regularised target",
        "That k3 in the loss, or times a ratio, is an unbiased KL gradient, and that k1 in the reward is not needed: "
        "TRL issues 4967, 7086, 6503, 6586; arXiv 2512.21852, 2512.02556, 2510.01555.",
        KL_FINDINGS,
        f"{SMALL_TABLE}; on-policy; the reference is the policy with noise in its logits.",
        "Identities (which mean is which divergence, see the facts) hold for every policy. The angles are those of "
        "this policy; they need answers of more than one token.",
        (
            "the_angle_of_kl_terms_by_distance",
            "which_kl_term_is_the_gradient_of_which_divergence",
            "kl_terms_of_single_tokens_lack_later_tokens",
            "off_policy_kl_in_the_reward",
        ),
    ),
    Argument(
        "deviation",
        "Dividing by the group's standard deviation is a weight by difficulty",
        "That the deviation biases the gradient towards easy and hard prompts: Dr. GRPO, arXiv 2503.20783, section "
        "3.1.",
        DEVIATION_FINDINGS,
        "prefix_policy as above, 3 prompts at a time, nine success rates p, groups of K.",
        "The formula c(p, K) = E √(j(K−j)) / (K p(1−p)), j ~ Bin(K, p), holds for every policy with rewards 0 and 1, a "
        "sum over tokens and ε = 0; graded rewards and 1/L are not covered. Each prompt keeps its direction.",
        ("a_group_s_deviation_weighs_prompts_by_difficulty", "a_group_s_mean_shrinks_the_gradient"),
    ),
    Argument(
        "length",
        "What 1/L does to length",
        "That 1/L makes right answers shorter and wrong ones longer: Dr. GRPO, arXiv 2503.20783, section 3.1.",
        LENGTH_FINDINGS,
        "prefix_policy, 2 tokens and an end token, at most 4 tokens, one prompt with success rate p, groups of 2, "
        "leave-one-out; right answers are those of at most 2 tokens, or longer. Judged is the change, by 1/L, of the "
        "derivative of the expected length along the unit update.",
        "Answers of at most 4 tokens differ little in length: sizes will be others elsewhere.",
        ("what_one_over_length_does_to_length", "means_over_tokens_turn_the_gradient"),
    ),
    Argument(
        "off_policy",
        "Which correction has the least mean squared error",
        "That token ratios, clipped or not, are enough (PPO, arXiv 1707.06347; CISPO, 2506.13585), or that only ratios "
        "of sequences are right (GSPO, 2507.18071; TRL issue 4493).",
        off_policy_findings,
        "transformer_policy: one attention layer, 2 tokens and an end token, at most 3 to 8 tokens, one prompt, right "
        "answers long, success rate 0.3; the behaviour has noise in its logits, or is 4 SGD steps old. Mean and "
        "variance by enumeration; the baseline is E_μ R.",
        "The cells of the maps: 5 distances KL(μ‖π) × 4 lengths T, for 16 to 4,096 rollouts of one prompt. "
        '"Best scale" is the error at the best constant in front of each estimate: an optimiser that cancels scale '
        "does not see the rest. TIS truncates token ratios at 2, MIS masks answers outside 0.5 … 2, CISPO and PPO-clip "
        "have 0.2, GSPO its paper's bounds.",
        ("no_correction_has_the_least_error_everywhere", "sequence_ratios_are_unbiased_and_token_ratios_are_not"),
    ),
    Argument(
        "dropping",
        "Dropping or refilling groups of equal rewards",
        "That dropping them changes only how many prompts are useful: DAPO, arXiv 2503.14476, section 3.2.",
        DROPPING_FINDINGS,
        "prefix_policy, six prompts with success rates around 0.12 (two around 0.3 where prompts are drawn for each "
        "batch), groups of K, leave-one-out. Judged is the weight of the prompt with the least likely success ÷ that "
        "of the prompt nearest to ½.",
        "The weights follow from binomials, for every policy with rewards 0 and 1. A KL term in the loss is not "
        "covered: dropped groups have a gradient there.",
        ("dropping_equal_groups_tilts_towards_even_odds",),
    ),
    Argument(
        "limits",
        "Clip-higher, CISPO and GSPO, as published and as frameworks set them",
        "That clip-higher (DAPO, arXiv 2503.14476) keeps the entropy from collapsing, and that detached clamps (CISPO, "
        "2506.13585) and answers' ratios (GSPO, 2507.18071) keep the gradient where PPO's clip loses it.",
        limits_findings,
        "transformer_policy as above, at most 4 tokens, 4 SGD steps old; the baseline is E_μ R, token sums but for "
        "GSPO. Entropy: 3 tokens and an end token, right answers short or long, early, middle and late in training; "
        "judged is the derivative of the answer's entropy along the unit update.",
        "One kind of staleness: 4 steps straight down the exact gradient, their size chosen for each KL(μ‖π). TRL's "
        "CISPO at its default 0.2 is a scale of 0.2 on fresh rollouts. Entropy over many updates of a large policy is "
        "not measured.",
        (
            "limits_at_published_settings_and_at_defaults",
            "what_clip_higher_does_to_entropy",
            "a_ratio_of_one_has_reinforce_s_gradient",
        ),
        drawn=("what_clip_higher_does_to_entropy",),
    ),
)


def counts_in_words(findings: list[ClaimVerdict]) -> str:
    """Returns how many claims have which verdict.

    >>> counts_in_words([ClaimVerdict("holds", ""), ClaimVerdict("does not hold", ""), ClaimVerdict("holds", "")])
    '3 claims 2 hold, 1 does not hold'
    """
    plural = {
        "holds": "hold",
        "does not hold": "do not hold",
        "holds in part": "hold in part",
        "is not settled": "are not settled",
    }
    words = [each.word for each in findings]
    said = [
        f"{words.count(word)} {word if words.count(word) == 1 else many}"
        for word, many in plural.items()
        if word in words
    ]
    return f"{len(words)} claims {', '.join(said)}"


def arguments_page(records: dict[str, FactRecord], folder: Path) -> Path | None:
    """Writes `arguments.html` into the folder, if a fact of an argument was measured; returns its path.

    A page that is there already stays as it is unless all facts of all arguments are measured: it would lose some.
    """
    target = folder / "arguments.html"
    shown = [each for each in ARGUMENTS if each.facts[0] in records]
    partial = any(name not in records for each in ARGUMENTS for name in each.facts)
    if not shown or (partial and target.exists()):
        return None
    figures = folder / "verify-figures"
    figures.mkdir(exist_ok=True)
    entries = [
        {
            "argument": each,
            "facts": [entry(FACTS[name], records.get(name), figures) for name in each.facts],
            "drawn": (each.facts[0], *each.drawn),
            "findings": each.findings(records),
            "counts": counts_in_words(each.findings(records)),
            "points": each.points(records),
        }
        for each in shown
    ]
    text = page_templates().get_template("arguments.html.j2").render(entries=entries, style=Markup(style()))
    target.write_text(text, encoding="utf-8")
    return target
