"""OpenRLHF's own advantages and loss, without DeepSpeed, vLLM or Ray's actors, which its modules import.

`RemoteExperienceMaker.compute_advantages_and_returns` makes the advantages, on an object with what it reads.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace


def empty(name, **attributes):
    """Puts a module with these attributes alone in place of the one of that name."""
    module = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(attributes)
    sys.modules[name] = module


ROOT = Path(importlib.util.find_spec("openrlhf").submodule_search_locations[0])
for package in ("", ".models", ".trainer", ".trainer.ppo_utils", ".trainer.ray", ".utils"):
    empty(f"openrlhf{package}", __path__=[str(ROOT.joinpath(*package.split(".")[1:]))])
empty("deepspeed")
empty("openrlhf.trainer.ray.launcher", RayActorGroup=None)

import torch  # noqa: E402
from openrlhf.models.loss import PolicyLoss, aggregate_loss  # noqa: E402
from openrlhf.models.utils import compute_approx_kl  # noqa: E402
from openrlhf.trainer.ppo_utils.experience import Experience  # noqa: E402
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker  # noqa: E402


def loss(given, estimator="gae", kind="ppo", clip=(0.2, 0.2), beta=0.01, kl_loss=0.0, correction=None):
    """The loss of one batch; `kl_loss` is the weight of k3 in the loss, whose mean is over tokens in every case."""
    level = {} if correction is None else {"is_correction_level": "token", "is_correction_mode": correction}
    function = PolicyLoss(*clip, policy_loss_type=kind, **level)
    A = advantages(given, estimator, beta)
    total = function(given.now, given.proximal, A, given.mask, rollout_log_probs=given.behaviour)[0]
    if kl_loss:
        distance = compute_approx_kl(given.now, given.reference, kl_estimator="k3")
        total = total + kl_loss * aggregate_loss(distance, given.mask)
    return total


def ppo(given, lam=0.95):
    """The plain clipped loss with generalised advantages that are not whitened."""
    rewards = torch.zeros_like(given.mask)
    rewards[torch.arange(len(rewards)), given.mask.sum(-1).long() - 1] = given.rewards
    A, _ = RemoteExperienceMaker.get_advantages_and_returns(None, given.values, rewards, given.mask, 1.0, lam)
    return PolicyLoss()(given.now, given.proximal, A, given.mask)[0]


def advantages(given, estimator, beta):
    """Advantages of one batch; without a KL term they stay float64 but for whitening, with one they are float32."""
    kl = compute_approx_kl(given.proximal, given.reference) if beta else torch.zeros_like(given.proximal)
    batch = Experience(rewards=given.rewards, values=given.values, action_mask=given.mask, kl=kl)
    batch.index = list(range(len(given.rewards)))
    options = SimpleNamespace(
        algo=SimpleNamespace(
            advantage=SimpleNamespace(estimator=estimator, gamma=1.0, lambd=1.0, no_std_norm=False),
        ),
        rollout=SimpleNamespace(n_samples_per_prompt=given.K),
        reward=SimpleNamespace(clip_range=None),
    )
    maker = SimpleNamespace(
        strategy=SimpleNamespace(args=options),
        advantage_estimator=estimator,
        kl_ctl=SimpleNamespace(value=beta),
        get_advantages_and_returns=lambda *a: RemoteExperienceMaker.get_advantages_and_returns(None, *a),
        get_cumulative_returns=lambda *a: RemoteExperienceMaker.get_cumulative_returns(None, *a),
    )
    return RemoteExperienceMaker.compute_advantages_and_returns(maker, [batch])[0].advantages
