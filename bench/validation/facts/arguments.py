"""The page "Arguments, measured": what is claimed about losses over rollouts, and what the facts measured."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from bench.validation.facts.fact import FACTS, Check
from bench.validation.facts.page import entry, page_templates, style
from bench.validation.facts.record import FactRecord


@dataclass(frozen=True)
class Argument:
    """An argument about a loss.

    `claim`: what is claimed, and where. `facts`: the facts that measured it; the first has the figure. `finding`: what
    was found. `policy`: on which policy. `reach`: how far it holds.
    """

    name: str
    title: str
    claim: str
    finding: str
    policy: str
    reach: str
    facts: tuple[str, ...]


SMALL_TABLE = (
    "prefix_policy: a table of next-token logits, 2 tokens and an end token, at most 3 tokens, 2 prompts with success "
    "rates 0.14 and 0.54"
)

ARGUMENTS = (
    Argument(
        "kl",
        "Which KL term gives the gradient of the regularised target",
        "That k3 in the loss, or times a ratio, is an unbiased KL gradient, and that k1 in the reward is not needed: "
        "TRL issues 4967, 7086, 6503, 6586; arXiv 2512.21852, 2512.02556, 2510.01555.",
        "On-policy, k1 in the reward and k2 of the whole answer in the loss are exact. Terms of single tokens (k2, "
        "k3 × the token's ratio, the whole vocabulary) share one mean, which turns away from ∇KL(π‖π_ref) as the "
        "reference gets farther. k3 in the reward has almost no gradient near the reference: its direction is wrong "
        "at every distance.",
        f"{SMALL_TABLE}; the reference is the policy with noise in its logits.",
        "Identities (which mean is which divergence) hold for every policy. The angles are those of this policy, over "
        "KL from about 0.0003 to 1 nat; they need answers of more than one token.",
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
        "With rewards 0 and 1 each prompt keeps its direction, and weighs c(p, K): all the same at K = 2 and 3, and "
        "more for easy and hard prompts the larger the group is.",
        "prefix_policy as above, 3 prompts at a time, nine success rates from 0.03 to 0.97, groups of 2 to 16.",
        "The formula holds for every policy with rewards 0 and 1, a sum over tokens and ε = 0; graded rewards and 1/L "
        "are not covered.",
        ("a_group_s_deviation_weighs_prompts_by_difficulty", "a_group_s_mean_shrinks_the_gradient"),
    ),
    Argument(
        "length",
        "What 1/L does to length",
        "That 1/L makes right answers shorter and wrong ones longer: Dr. GRPO, arXiv 2503.20783, section 3.1.",
        "1/L turns the gradient, and changes the derivative of the expected length along the unit update. Where right "
        "answers are long it makes answers grow faster than the exact gradient does; where they are short the "
        "change is small.",
        "prefix_policy, 2 tokens and an end token, at most 4 tokens, one prompt, groups of 2, leave-one-out; right "
        "answers are those of at most 2 tokens, or longer.",
        "Success rates from 0.02 to 0.95. Answers of 4 tokens differ little in length: sizes will be others elsewhere.",
        ("what_one_over_length_does_to_length", "means_over_tokens_turn_the_gradient"),
    ),
    Argument(
        "off_policy",
        "Which correction has the least mean squared error",
        "That token ratios, clipped or not, are enough (PPO, arXiv 1707.06347; CISPO, 2506.13585), or that only ratios "
        "of sequences are right (GSPO, 2507.18071; TRL issue 4493).",
        "None wins everywhere. With few rollouts the noise decides, and truncated, masked or clipped losses win; with "
        "many the bias decides, and the unbiased sequence ratio wins most of the map.",
        "transformer_policy: one attention layer, 2 tokens and an end token, at most 3 to 8 tokens, one prompt, right "
        "answers long, success rate 0.3; the behaviour has noise in its logits, or is 4 SGD steps old. Mean and "
        "variance by enumeration; the baseline is E_μ R.",
        "KL(μ‖π) from 0.001 to 1 nat, T ≤ 8, 16 to 4,096 rollouts of one prompt. Errors are those of the estimate "
        "itself: an optimiser that cancels scale would rank differently. TIS truncates token ratios at 2, MIS masks "
        "answers outside 0.5 … 2, CISPO and PPO-clip have 0.2, GSPO its paper's bounds.",
        ("no_correction_has_the_least_error_everywhere", "sequence_ratios_are_unbiased_and_token_ratios_are_not"),
    ),
    Argument(
        "dropping",
        "Dropping or refilling groups of equal rewards",
        "That dropping them changes only how many prompts are useful: DAPO, arXiv 2503.14476, section 3.2.",
        "Over a fixed set of prompts dropping weighs prompts that are kept more often more, those with success near ½. "
        "Drawing the same prompt until it is kept weighs it the other way. With prompts drawn fresh for each batch the "
        "direction is unchanged.",
        "prefix_policy, six prompts with success rates from 0.05 to 0.27, groups of 4 and 16, leave-one-out.",
        "The weights follow from binomials, for every policy with rewards 0 and 1. A KL term in the loss is not "
        "covered: dropped groups have a gradient there.",
        ("dropping_equal_groups_tilts_towards_even_odds",),
    ),
    Argument(
        "limits",
        "Clip-higher, CISPO and GSPO, as published and as frameworks set them",
        "That clip-higher (DAPO, arXiv 2503.14476), detached clamps (CISPO, 2506.13585) and answers' ratios (GSPO, "
        "2507.18071) keep the gradient where PPO's clip loses it.",
        "On stale rollouts a clip removes exactly the tokens that already moved, and the mean of the rest can point "
        "more than 90° away from the gradient; CISPO stays close. TRL's CISPO at its default 0.2 is a scale on fresh "
        "rollouts. GSPO's published bounds clip nearly every stale answer; with 0.2 few.",
        "transformer_policy as above, at most 4 tokens, 4 SGD steps old; the baseline is E_μ R, token sums but for "
        "GSPO.",
        "KL(μ‖π) from 0.001 to 1 nat of one direction of staleness: straight down the exact gradient. Where ratios "
        "fall between 1.2 and 1.28 never, clip-higher and PPO's clip are the same here.",
        ("limits_at_published_settings_and_at_defaults", "a_ratio_of_one_has_reinforce_s_gradient"),
    ),
)


def arguments_page(records: dict[str, FactRecord], folder: Path) -> Path | None:
    """Writes `arguments.html` into the folder, if a fact of an argument was measured; returns its path."""
    shown = [each for each in ARGUMENTS if each.facts[0] in records and each.facts[0] in FACTS]
    if not shown:
        return None
    figures = folder / "verify-figures"
    figures.mkdir(exist_ok=True)
    entries = [
        (each, [entry(FACTS[name], records.get(name), figures) for name in each.facts], measured_checks(each, records))
        for each in shown
    ]
    text = page_templates().get_template("arguments.html.j2").render(entries=entries, style=Markup(style()))
    target = folder / "arguments.html"
    target.write_text(text, encoding="utf-8")
    return target


def measured_checks(argument: Argument, records: dict[str, FactRecord]) -> list[Check]:
    """Returns the measured numbers of an argument's first fact, those with an interval from draws."""
    return [check for check in records[argument.facts[0]].checks if "measured" in check.what]
