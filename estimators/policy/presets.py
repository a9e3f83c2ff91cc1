"""Published losses and frameworks' defaults as parts of the one composed loss, each with its source.

A framework's preset has its default numbers, at the version named; `preset(name, …)` changes single parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from estimators.errors import BadInput, nearest
from estimators.policy.loss import PolicyLoss


@dataclass(frozen=True)
class Preset:
    """A loss, and where it is from."""

    loss: PolicyLoss
    source: str


def preset(name: str, **changes: Any) -> PolicyLoss:
    """Returns the loss of that name, with single parts changed.

    Raises:
        BadInput: no such preset, no such part, or a part that contradicts the others.

    >>> preset("trl:grpo", beta=0.04).kl_place
    'loss_times_ratio'
    """
    if name not in PRESETS:
        raise BadInput(f"there is no preset {name!r} of policy losses; {nearest(name, PRESETS)}")
    loss = PRESETS[name].loss
    for part in changes:
        if part not in PolicyLoss.__dataclass_fields__:
            raise BadInput(f"a policy loss has no part {part!r}; {nearest(part, PolicyLoss.__dataclass_fields__)}")
    return replace(loss, **changes)


GROUP = PolicyLoss(baseline="group_mean", scale="group")
CLIPPED = PolicyLoss(ratio="token", limit="clip")

PAPERS = {
    "reinforce": Preset(PolicyLoss(), "Williams 1992, Machine Learning 8, 229–256"),
    "rloo": Preset(PolicyLoss(baseline="leave_one_out"), "Ahmadian et al. 2024, arXiv:2402.14740, section 3.3"),
    "remax": Preset(PolicyLoss(baseline="greedy"), "Li et al. 2023, arXiv:2310.10505, algorithm 1"),
    "importance_sampling": Preset(
        PolicyLoss(baseline="leave_one_out", ratio="sequence"), "Precup, Sutton, Singh 2000, ICML 2000"
    ),
    "per_decision": Preset(
        PolicyLoss(baseline="leave_one_out", ratio="prefix", returns="reweighted_to_go"),
        "Precup, Sutton, Singh 2000, ICML 2000, section 3",
    ),
    "ppo": Preset(
        replace(CLIPPED, baseline="critic", lam=0.95, aggregate="batch_token_mean"),
        "Schulman et al. 2017, arXiv:1707.06347, equations 7 and 11; γ = 1",
    ),
    "grpo": Preset(
        replace(
            CLIPPED,
            baseline="group_mean",
            scale="group",
            aggregate="sequence_mean",
            kl="k3",
            kl_place="loss",
            beta=0.04,
        ),
        "Shao et al. 2024, arXiv:2402.03300, equations 3 and 4",
    ),
    "dr_grpo": Preset(replace(CLIPPED, baseline="group_mean"), "Liu et al. 2025, arXiv:2503.20783, section 3.2"),
    "dapo": Preset(
        replace(CLIPPED, baseline="group_mean", scale="group", high=1.28, aggregate="group_token_mean", filter="drop"),
        "Yu et al. 2025, arXiv:2503.14476, equation 8; groups of equal rewards are dropped, not drawn again",
    ),
    "gspo": Preset(
        replace(GROUP, ratio="geometric", limit="clip", low=1 - 3e-4, high=1 + 4e-4, aggregate="sequence_mean"),
        "Zheng et al. 2025, arXiv:2507.18071, equation 5",
    ),
    "pass@k": Preset(PolicyLoss(set="leave_one_out", k=2), "Walder, Karkhanis 2025, arXiv:2505.15201; k = 2"),
}

TRL_GRPO = replace(
    CLIPPED,
    baseline="group_mean",
    scale="group",
    scale_epsilon=1e-4,
    aggregate="sequence_mean",
    kl="k3",
    kl_place="loss_times_ratio",
)
TRL_SOURCE = "TRL 1.16.0, GRPOTrainer._compute_loss"
TRL = {
    "trl:grpo": Preset(TRL_GRPO, f"{TRL_SOURCE}, loss_type='grpo'"),
    "trl:bnpo": Preset(replace(TRL_GRPO, aggregate="batch_token_mean"), f"{TRL_SOURCE}, loss_type='bnpo'"),
    "trl:dapo": Preset(
        replace(TRL_GRPO, aggregate="batch_token_mean"),
        f"{TRL_SOURCE}, loss_type='dapo' (its default): the token mean alone, without clip-higher and filter",
    ),
    "trl:dr_grpo": Preset(
        replace(TRL_GRPO, aggregate="padded_mean"),
        f"{TRL_SOURCE}, loss_type='dr_grpo', for rollouts padded to the maximal length; the deviation stays by default",
    ),
    "trl:gspo": Preset(
        replace(TRL_GRPO, ratio="geometric"),
        f"{TRL_SOURCE}, importance_sampling_level='sequence' with loss_type='grpo'",
    ),
    "trl:cispo": Preset(
        replace(TRL_GRPO, limit="detached", low=0.0, high=0.2, aggregate="batch_token_mean"),
        f"{TRL_SOURCE}, loss_type='cispo': its epsilon_high bounds the ratio itself, not 1 + epsilon_high",
    ),
    "trl:rloo": Preset(
        PolicyLoss(baseline="leave_one_out", ratio="sequence", limit="clip", kl="k1", beta=0.05, kl_policy="proximal"),
        "TRL 1.16.0, RLOOTrainer._compute_loss; its default K is 2",
    ),
}

VERL = PolicyLoss(ratio="token", limit="dual_clip", aggregate="batch_token_mean")
VERL_GRPO = replace(VERL, baseline="group_mean", scale="group", scale_epsilon=1e-6)
VERL_WHITE = replace(VERL, scale="whitening", scale_epsilon=1e-8)
VERL_SOURCE = "verl 0.9.1, core_algos"
VERL_PRESETS = {
    "verl:grpo": Preset(VERL_GRPO, f"{VERL_SOURCE}.compute_grpo_outcome_advantage, policy loss 'vanilla'"),
    "verl:token_mean": Preset(VERL_GRPO, f"{VERL_SOURCE}.agg_loss with token-mean, which is its default"),
    "verl:sequence_mean": Preset(
        replace(VERL_GRPO, aggregate="sequence_mean"), f"{VERL_SOURCE}.agg_loss with seq-mean-token-mean"
    ),
    "verl:dr_grpo": Preset(
        replace(VERL, baseline="group_mean", aggregate="padded_mean"),
        f"{VERL_SOURCE}.compute_grpo_outcome_advantage without the deviation, agg_loss with seq-mean-token-sum-norm",
    ),
    "verl:rloo": Preset(
        replace(VERL, baseline="leave_one_out"), f"{VERL_SOURCE}.compute_rloo_outcome_advantage, 'vanilla'"
    ),
    "verl:remax": Preset(
        replace(VERL, baseline="greedy", returns="to_go"), f"{VERL_SOURCE}.compute_remax_outcome_advantage, 'vanilla'"
    ),
    "verl:reinforce_plus_plus": Preset(
        replace(VERL_WHITE, returns="to_go"), f"{VERL_SOURCE}.compute_reinforce_plus_plus_outcome_advantage, 'vanilla'"
    ),
    "verl:reinforce_plus_plus_baseline": Preset(
        replace(VERL_WHITE, baseline="group_mean"),
        f"{VERL_SOURCE}.compute_reinforce_plus_plus_baseline_outcome_advantage, 'vanilla'",
    ),
    "verl:gae": Preset(
        replace(VERL_WHITE, baseline="critic"), f"{VERL_SOURCE}.compute_gae_advantage_return, 'vanilla'"
    ),
    "verl:gspo": Preset(
        replace(VERL_GRPO, ratio="geometric", limit="clip", aggregate="sequence_mean"),
        f"{VERL_SOURCE}, get_policy_loss_fn('gspo')",
    ),
    "verl:cispo": Preset(replace(VERL_GRPO, limit="detached"), f"{VERL_SOURCE}, get_policy_loss_fn('cispo')"),
    "verl:tis": Preset(
        replace(VERL_GRPO, correction="token", correction_high=2.0),
        "verl 0.9.1, rollout_corr_helper.compute_rollout_correction_weights, level token, threshold '2.0'",
    ),
    "verl:icepop": Preset(
        replace(VERL_GRPO, correction="token", correction_rule="mask", correction_low=0.5, correction_high=2.0),
        "verl 0.9.1, rollout_corr_helper.compute_rollout_correction_weights, level token, threshold '0.5_2.0'",
    ),
}

OPENRLHF = replace(
    CLIPPED,
    returns="to_go",
    aggregate="batch_token_mean",
    kl="k1",
    beta=0.01,
    kl_policy="proximal",
    kl_after=True,
)
OPENRLHF_WHITE = replace(OPENRLHF, scale="floored_whitening", scale_epsilon=1e-8, bessel=False)
OPENRLHF_SOURCE = "OpenRLHF 0.11.2, models.loss.PolicyLoss with advantage_estimator"
OPENRLHF_PRESETS = {
    "openrlhf:gae": Preset(
        replace(OPENRLHF_WHITE, baseline="critic", kl_after=False), f"{OPENRLHF_SOURCE} 'gae' (its default)"
    ),
    "openrlhf:reinforce++": Preset(OPENRLHF_WHITE, f"{OPENRLHF_SOURCE} 'reinforce'"),
    "openrlhf:reinforce++_baseline": Preset(
        replace(OPENRLHF_WHITE, baseline="group_mean"), f"{OPENRLHF_SOURCE} 'reinforce_baseline'"
    ),
    "openrlhf:rloo": Preset(replace(OPENRLHF, baseline="leave_one_out"), f"{OPENRLHF_SOURCE} 'rloo'"),
    "openrlhf:group_norm": Preset(
        replace(OPENRLHF, baseline="group_mean", scale="group", scale_epsilon=1e-9), f"{OPENRLHF_SOURCE} 'group_norm'"
    ),
    "openrlhf:dr_grpo": Preset(
        replace(OPENRLHF, baseline="group_mean"), f"{OPENRLHF_SOURCE} 'dr_grpo': still a mean over tokens"
    ),
    "openrlhf:gspo": Preset(
        replace(
            OPENRLHF,
            baseline="group_mean",
            scale="group",
            scale_epsilon=1e-9,
            ratio="geometric_differentiated",
            aggregate="sequence_mean",
        ),
        f"{OPENRLHF_SOURCE} 'group_norm' and policy_loss_type 'gspo'",
    ),
}

PRESETS: Mapping[str, Preset] = MappingProxyType(PAPERS | TRL | VERL_PRESETS | OPENRLHF_PRESETS)
"""All presets by name: those of papers, and `framework:name`."""
