"""Presets against the published formulas, written out again one rollout after another, and C against autograd."""

import pytest
import torch
from torch import Tensor

from estimators.policy import PRESETS, Rollouts, preset
from tests.support.tiny_policy import tables

B, K, T = 3, 4, 6
LENGTHS = torch.tensor([[6, 3, 1, 4], [2, 2, 5, 6], [1, 6, 3, 3]])


def rollouts(seed: int = 0, *, log_probs: Tensor | None = None) -> Rollouts:
    """Rollouts with everything that a preset may need; ratios within and without all bounds."""
    draw = torch.Generator().manual_seed(seed)

    def noise(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=draw, dtype=torch.float64)

    now = -1.5 + noise(B, K, T, scale=0.4)
    beside = tables(
        proximal=now + noise(B, K, T, scale=0.6),
        behaviour=now + noise(B, K, T, scale=0.8),
        reference=now + noise(B, K, T, scale=0.3),
        values=noise(B, K, T),
        rewards=noise(B, K),
        greedy_rewards=noise(B),
    )
    mask = (torch.arange(T) < LENGTHS.unsqueeze(-1)).to(torch.float64)
    return Rollouts(log_probs=now if log_probs is None else log_probs, mask=mask, **beside)


def parts(r: Rollouts, x: Tensor) -> list[list[tuple[Tensor, ...]]]:
    """Of each rollout: log π, log π_prox, log π_ref of its own tokens, without padding."""
    assert r.proximal is not None and r.reference is not None
    prox, ref = r.proximal, r.reference
    return [[(x[b, k, :L], prox[b, k, :L], ref[b, k, :L]) for k, L in enumerate(LENGTHS[b].tolist())] for b in range(B)]


def clip(ratio: Tensor, A: Tensor, low: float = 0.8, high: float = 1.2) -> Tensor:
    return torch.min(ratio * A, ratio.clamp(low, high) * A)


def group_advantages(r: Rollouts, epsilon: float) -> Tensor:
    return (r.rewards - r.rewards.mean(-1, keepdim=True)) / (r.rewards.std(-1, keepdim=True) + epsilon)


def k3(now: Tensor, ref: Tensor) -> Tensor:
    return (ref - now).exp() - (ref - now) - 1


def trl_tokens(r: Rollouts, x: Tensor, beta: float) -> list[list[Tensor]]:
    A = group_advantages(r, 1e-4)
    return [
        [-clip((p - o).exp(), A[b, k]) + beta * k3(p, f) * (p - o).exp() for k, (p, o, f) in enumerate(own)]
        for b, own in enumerate(parts(r, x))
    ]


def trl_grpo(r: Rollouts, x: Tensor) -> Tensor:
    return torch.stack([each.mean() for group in trl_tokens(r, x, 0.04) for each in group]).mean()


def trl_dapo(r: Rollouts, x: Tensor) -> Tensor:
    return torch.cat([each for group in trl_tokens(r, x, 0.0) for each in group]).mean()


def trl_dr_grpo(r: Rollouts, x: Tensor) -> Tensor:
    return torch.cat([each for group in trl_tokens(r, x, 0.0) for each in group]).sum() / (B * K * T)


def trl_gspo(r: Rollouts, x: Tensor) -> Tensor:
    A = group_advantages(r, 1e-4)
    found = []
    for b, own in enumerate(parts(r, x)):
        for k, (p, o, f) in enumerate(own):
            ratio = (p - o).mean().exp()
            found.append((-clip(ratio, A[b, k]) + 0.1 * k3(p, f) * ratio).mean())
    return torch.stack(found).mean()


def trl_cispo(r: Rollouts, x: Tensor) -> Tensor:
    A = group_advantages(r, 1e-4)
    found = [
        -(p - o).exp().clamp(max=0.2).detach() * A[b, k] * p
        for b, own in enumerate(parts(r, x))
        for k, (p, o, _) in enumerate(own)
    ]
    return torch.cat(found).mean()


def trl_rloo(r: Rollouts, x: Tensor) -> Tensor:
    own = parts(r, x)
    R = torch.stack(
        [torch.stack([r.rewards[b, k] - 0.05 * (o - f).sum() for k, (_, o, f) in enumerate(own[b])]) for b in range(B)]
    )
    A = R - (R.sum(-1, keepdim=True) - R) / (K - 1)
    found = [-clip((p - o).sum().exp(), A[b, k]) for b in range(B) for k, (p, o, _) in enumerate(own[b])]
    return torch.stack(found).mean()


def vanilla(ratio: Tensor, A: Tensor) -> Tensor:
    """verl's loss of tokens: clip, and dual clip where A < 0."""
    first = torch.max(-A * ratio, -A * ratio.clamp(0.8, 1.2))
    return torch.where(A < 0, torch.min(-A * 3.0, first), first)


def verl_grpo(r: Rollouts, x: Tensor) -> Tensor:
    A = group_advantages(r, 1e-6)
    return torch.cat(
        [vanilla((p - o).exp(), A[b, k]) for b, own in enumerate(parts(r, x)) for k, (p, o, _) in enumerate(own)]
    ).mean()


def verl_icepop(r: Rollouts, x: Tensor) -> Tensor:
    A, found = group_advantages(r, 1e-6), []
    assert r.behaviour is not None
    for b, own in enumerate(parts(r, x)):
        for k, (p, o, _) in enumerate(own):
            w = (o - r.behaviour[b, k, : len(o)]).exp()
            found.append(vanilla((p - o).exp(), A[b, k]) * torch.where((w < 0.5) | (w > 2), 0, w))
    return torch.cat(found).mean()


def verl_tis(r: Rollouts, x: Tensor) -> Tensor:
    A, found = group_advantages(r, 1e-6), []
    assert r.behaviour is not None
    for b, own in enumerate(parts(r, x)):
        for k, (p, o, _) in enumerate(own):
            w = (o - r.behaviour[b, k, : len(o)]).exp()
            found.append(vanilla((p - o).exp(), A[b, k]) * w.clamp(max=2.0))
    return torch.cat(found).mean()


def white(A: Tensor, r: Rollouts, correction: int, least: float = 0.0) -> Tensor:
    """Less the mean over all tokens, over the root of their variance: 1e-8 is added, or it is at least `least`."""
    flat = A[r.mask > 0]
    variance = flat.var(correction=correction)
    return (A - flat.mean()) / (variance.clamp(min=least) if least else variance + 1e-8).sqrt()


def verl_reinforce_plus_plus(r: Rollouts, x: Tensor) -> Tensor:
    A = white(r.rewards.unsqueeze(-1).expand(B, K, T), r, 1)
    return torch.cat(
        [
            vanilla((p - o).exp(), A[b, k, : len(p)])
            for b, own in enumerate(parts(r, x))
            for k, (p, o, _) in enumerate(own)
        ]
    ).mean()


def verl_gspo(r: Rollouts, x: Tensor) -> Tensor:
    A = group_advantages(r, 1e-6)
    return torch.stack(
        [
            torch.max(-A[b, k] * ratio, -A[b, k] * ratio.clamp(0.8, 1.2))
            for b, own in enumerate(parts(r, x))
            for k, (p, o, _) in enumerate(own)
            for ratio in [(p - o).mean().exp()]
        ]
    ).mean()


def verl_cispo(r: Rollouts, x: Tensor) -> Tensor:
    A = group_advantages(r, 1e-6)
    return torch.cat(
        [
            -(p - o).exp().clamp(0.8, 1.2).detach() * A[b, k] * p
            for b, own in enumerate(parts(r, x))
            for k, (p, o, _) in enumerate(own)
        ]
    ).mean()


def ppo(r: Rollouts, x: Tensor) -> Tensor:
    """GAE by its recursion from the last token, γ = 1, λ = 0.95."""
    assert r.values is not None
    found = []
    for b, own in enumerate(parts(r, x)):
        for k, (p, o, _) in enumerate(own):
            V, L = r.values[b, k], len(p)
            A, last = torch.zeros(L, dtype=torch.float64), 0.0
            for t in reversed(range(L)):
                reward = float(r.rewards[b, k]) if t == L - 1 else 0.0
                following = float(V[t + 1]) if t < L - 1 else 0.0
                last = reward + following - float(V[t]) + 0.95 * last
                A[t] = last
            found.append(-clip((p - o).exp(), A))
    return torch.cat(found).mean()


def openrlhf_reinforce(r: Rollouts, x: Tensor) -> Tensor:
    A = torch.zeros(B, K, T, dtype=torch.float64)
    own = parts(r, x)
    for b in range(B):
        for k, (_, o, f) in enumerate(own[b]):
            A[b, k, : len(o)] = r.rewards[b, k] - 0.01 * (o - f).flip(0).cumsum(0).flip(0)
    A = white(A, r, 0, least=1e-8)
    return torch.cat(
        [-clip((p - o).exp(), A[b, k, : len(p)]) for b in range(B) for k, (p, o, _) in enumerate(own[b])]
    ).mean()


def openrlhf_gspo(r: Rollouts, x: Tensor) -> Tensor:
    """The ratio is differentiated: with a KL to go, each token's advantage moves all tokens."""
    A, found = group_advantages(r, 1e-9), []
    for b, own in enumerate(parts(r, x)):
        for k, (p, o, f) in enumerate(own):
            to_go = A[b, k] - 0.01 * (o - f).flip(0).cumsum(0).flip(0)
            found.append(-clip((p - o).mean().exp(), to_go).mean())
    return torch.stack(found).mean()


FORMULAS = {
    ("trl:grpo", 0.04): trl_grpo,
    ("trl:dapo", None): trl_dapo,
    ("trl:dr_grpo", None): trl_dr_grpo,
    ("trl:gspo", 0.1): trl_gspo,
    ("trl:cispo", None): trl_cispo,
    ("trl:rloo", None): trl_rloo,
    ("verl:grpo", None): verl_grpo,
    ("verl:icepop", None): verl_icepop,
    ("verl:tis", None): verl_tis,
    ("verl:reinforce_plus_plus", None): verl_reinforce_plus_plus,
    ("verl:gspo", None): verl_gspo,
    ("verl:cispo", None): verl_cispo,
    ("ppo", None): ppo,
    ("openrlhf:reinforce++", None): openrlhf_reinforce,
    ("openrlhf:gspo", None): openrlhf_gspo,
}


def gradient_of(loss, seed: int) -> Tensor:
    x = rollouts(seed).log_probs.clone().requires_grad_()
    loss(x).backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize(("name", "beta"), FORMULAS, ids=[name for name, _ in FORMULAS])
def test_a_preset_is_its_formula(name, beta):
    loss = preset(name) if beta is None else preset(name, beta=beta)
    for seed in range(3):
        r = rollouts(seed)
        ours = gradient_of(lambda x, seed=seed: loss(rollouts(seed, log_probs=x)), seed)
        theirs = gradient_of(lambda x, r=r: FORMULAS[name, beta](r, x), seed)
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("trl:grpo", {"scale_epsilon": 1e-2}),
        ("trl:grpo", {"kl_place": "loss"}),
        ("trl:gspo", {"ratio": "token"}),
        ("trl:rloo", {"kl_policy": "current"}),
        ("trl:cispo", {"high": 1.2}),
        ("verl:grpo", {"limit": "clip"}),
        ("verl:grpo", {"bessel": False}),
        ("verl:icepop", {"correction_rule": "truncate"}),
        ("openrlhf:reinforce++", {"bessel": True}),
        ("openrlhf:reinforce++", {"returns": "whole"}),
        ("openrlhf:gspo", {"ratio": "geometric"}),
        ("ppo", {"lam": 1.0}),
    ],
    ids=str,
)
def test_another_part_is_another_formula(name, changes):
    beta = next(beta for known, beta in FORMULAS if known == name)
    loss = preset(name, **changes, **({} if beta is None else {"beta": beta}))
    apart = 0.0
    for seed in range(3):
        r = rollouts(seed)
        ours = gradient_of(lambda x, seed=seed: loss(rollouts(seed, log_probs=x)), seed)
        theirs = gradient_of(lambda x, r=r: FORMULAS[name, beta](r, x), seed)
        apart = max(apart, float((ours - theirs).abs().max()))
    assert apart > 1e-5


@pytest.mark.parametrize("name", [name for name in PRESETS if "pass@k" not in name])
def test_the_gradient_is_coefficients_times_scores(name):
    """C is constant: with it, Σ C log π has the gradient of the loss, and C is 0 behind the end."""
    loss, r = preset(name), rollouts(1)
    C = loss.coefficients(r)
    assert (C[r.mask == 0] == 0).all() and C.isfinite().all() and C.abs().max() > 0
    x = r.log_probs.clone().requires_grad_()
    (C * x).sum().backward()
    ours = gradient_of(lambda y: loss(rollouts(1, log_probs=y)), 1)
    torch.testing.assert_close(x.grad, -ours, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_its_source_and_replicates_share_nothing(name):
    assert PRESETS[name].source
    loss, (one, two) = preset(name), (rollouts(1), rollouts(2))
    names = [name for name in one.__dataclass_fields__ if getattr(one, name) is not None]
    both = Rollouts(**{name: torch.stack([getattr(one, name), getattr(two, name)]) for name in names})
    torch.testing.assert_close(loss(both), torch.stack([loss(one), loss(two)]), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(loss.objective(both).mean(-1), -loss(both), rtol=1e-12, atol=1e-13)
