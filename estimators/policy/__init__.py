"""Policy gradients for language models: losses over rollouts, made of few parts, and presets by frameworks' names.

In a training loop, from tensors alone:

    loss = preset("trl:grpo", beta=0.04)
    loss(Rollouts(log_probs=…, mask=…, rewards=…, reference=…)).backward()

`loss.advantages(rewards)` gives the advantages alone. `estimators.get("policy_loss", preset="trl:grpo")` is the same
loss as an estimator of the suite.
"""

from estimators.policy.diagnostics import clipped_share, dead_groups, effective_sample_size
from estimators.policy.loss import PolicyLoss
from estimators.policy.policy_gradient import PolicyGradient
from estimators.policy.presets import PRESETS, preset
from estimators.policy.rollouts import Rollouts
from estimators.policy.sequence import Regularised, SequencePolicy

__all__ = [
    "PRESETS",
    "PolicyGradient",
    "PolicyLoss",
    "Regularised",
    "Rollouts",
    "SequencePolicy",
    "clipped_share",
    "dead_groups",
    "effective_sample_size",
    "preset",
]
