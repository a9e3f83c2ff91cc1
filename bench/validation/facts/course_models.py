"""What a course teaches of variational models: amortisation, the entropy, and latents that the decoder ignores."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

import estimators
from bench.data.datasets import digits
from bench.distributions.amortised import linear_layer
from bench.numerics.tensors import Tensors
from bench.validation.facts.ad_hoc_problem import bits, double, normal
from bench.validation.facts.fact import Curve, FactResults, Picture, above, below, exact, fact, near
from bench.validation.facts.sampler import Sampler
from estimators.tools.parameters import support

CODE_BITS = 6


def adam(loss: Callable[[Tensors], Tensor], theta: Tensors, steps: int, rate: float) -> Tensors:
    """θ after so many steps; the best known of all optimisers."""
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}
    optimiser = torch.optim.Adam(list(leaves.values()), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(leaves).backward()
        optimiser.step()
    return {name: value.detach() for name, value in leaves.items()}


def digits_bound(logits: Tensor, x: Tensor, decoder: Tensors) -> Tensor:
    """The exact evidence bound of each image, by all states of its bits."""
    z = support(bits({"logits": torch.zeros(CODE_BITS, dtype=x.dtype)}))
    pixel = z @ decoder["weight"].mT + decoder["bias"]
    joint = x @ pixel.mT - softplus(pixel).sum(-1) - CODE_BITS * torch.log(torch.tensor(2.0, dtype=x.dtype))
    log_q = logits @ z.mT - softplus(logits).sum(-1, keepdim=True)
    return (log_q.exp() * (joint - log_q)).sum(-1)


@fact("course", "amortisation", "Kingma, Welling 2014; Cremer, Li, Duvenaud 2018; measured on digits, exact bounds")
def amortised_against_own_posteriors(sampler: Sampler) -> FactResults:
    """One encoder for all data shares its parameters and needs none for new data, at the price of a looser bound; a
    q of its own for each datum is tighter, on the training data and, fitted with the decoder frozen, on new data, at
    the price of fitting parameters for every datum that comes."""
    order = torch.randperm(len(digits()), generator=torch.Generator().manual_seed(1))
    seen, new = digits()[order[:300]], digits()[order[300:500]]
    steps = 150 if sampler.quick else 1500
    encoder, decoder = linear_layer(64, CODE_BITS, seed=1), linear_layer(CODE_BITS, 64, seed=2)
    theta = encoder | {f"d_{name}": value for name, value in decoder.items()}

    def logits(theta: Tensors, x: Tensor) -> Tensor:
        return x @ theta["weight"].mT + theta["bias"]

    def decoded(theta: Tensors) -> Tensors:
        return {name: theta[f"d_{name}"] for name in ("weight", "bias")}

    theta = adam(lambda t: -digits_bound(logits(t, seen), seen, decoded(t)).mean(), theta, steps, 0.03)
    frozen = decoded(theta)
    seconds: dict[str, float] = {}
    curves, share = [], torch.linspace(0, 1, 41, dtype=torch.float64)
    for name, x in (("training", seen), ("new", new)):
        start = time.process_time()
        shared = logits(theta, x)
        seconds["amortised"] = time.process_time() - start
        start = time.process_time()
        own = adam(lambda t, x=x: -digits_bound(t["logits"], x, frozen).sum(), {"logits": shared}, 100, 0.1)["logits"]
        seconds["own"] = time.process_time() - start
        gains = digits_bound(own, x, frozen) - digits_bound(shared, x, frozen)
        gain = gains.mean()
        curves.append(Curve(f"{name} data", share.tolist(), gains.quantile(share).tolist()))
        better = (gains > -1e-9).double().mean()
        yield above(f"{name} data: own q's bound less the encoder's, nats", 0.0, float(gain))
        yield above(f"{name} data: share of images with a bound at least as good", 0.99, float(better))
    yield exact("parameters per new image, encoder", 0.0, 0.0, scale=1.0)
    yield exact("parameters per new image, own q", float(CODE_BITS), own.numel() / len(new))
    yield above("time for new data: own ÷ amortised", 10.0, seconds["own"] / max(seconds["amortised"], 1e-6))
    yield Picture("What a q of its own gains, image by image", "share of images", "nats gained, at most", curves)


def two_modes(z: Tensor) -> Tensor:
    """log of an unnormalised joint with modes near −2 and 2, the left one higher."""
    left, right = (-(z + 2).square() * 2 + 0.4).sum(-1), (-(z - 2).square() * 2).sum(-1)
    return torch.logaddexp(left, right)


def positive_scale(scale: Tensor) -> Tensor:
    """A scale that may fall to (nearly) 0 in finite time, as its logarithm could not."""
    return scale.abs().clamp_min(1e-6)


def climbed(sampler: Sampler, f: estimators.Objective, start: Tensor, steps: int = 400) -> tuple[Tensor, list[float]]:
    """(loc, scale) of Normals after ascending E f by pathwise gradients, `[starts, 2]`; the mean scale along it."""
    theta = {"loc": start[:, None], "scale": torch.ones(len(start), 1, dtype=torch.float64)}
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}
    optimiser, path = torch.optim.Adam(list(leaves.values()), lr=0.03), []
    estimator = estimators.get("reparameterisation")
    sampler.start()
    for step in range(steps):
        path.append(float(positive_scale(leaves["scale"].detach()).mean()))
        for group in optimiser.param_groups:
            group["lr"] = 0.03 * (1 - step / steps)
        optimiser.zero_grad()
        q = normal({"loc": leaves["loc"], "scale": positive_scale(leaves["scale"])})
        (-estimator.surrogate(q, f, 64).sum()).backward()
        optimiser.step()
    end = torch.cat([leaves["loc"], positive_scale(leaves["scale"])], 1).detach()
    return end, path


@fact("course", "entropy", "Blei, Kucukelbir, McAuliffe 2017, section 2; derivation")
def without_the_entropy_q_collapses(sampler: Sampler) -> FactResults:
    """Without its entropy term the evidence bound is E log p(x, z), largest where q is a point at a maximum of the
    joint: q's variance falls to 0 along training, at one mode or another by where it starts. With a fixed model that
    is also a mode of the posterior: they differ by a constant in z. With the entropy q matches a Normal posterior."""
    starts = torch.linspace(-3, 3, 6, dtype=torch.float64)
    ends, shrinking = climbed(sampler, estimators.Function(two_modes), starts)
    yield below("no entropy: largest scale at the end", 0.05, float(ends[:, 1].max()))
    yield near(
        "no entropy: mean distance to the nearest mode",
        0.0,
        float((ends[:, 0].abs() - 2).abs().mean()),
        0.02,
        scale=1.0,
    )
    yield exact("no entropy: modes that were reached", 2.0, float(len(set(ends[:, 0].sign().tolist()))))
    x, noise = 1.0, 0.5  # z ~ N(0, 1), x ~ N(z, noise²)

    def joint(z: Tensor) -> Tensor:
        return (-z.square() / 2 - (x - z).square() / (2 * noise**2)).sum(-1)

    kept, steady = climbed(sampler, estimators.Evidence(joint), double(-1.0, 2.0))
    yield near("entropy: mean of q", x / (1 + noise**2), float(kept[:, 0].mean()), 0.02)
    yield near("entropy: scale of q", (noise**2 / (1 + noise**2)) ** 0.5, float(kept[:, 1].mean()), 0.02)
    steps = [float(i) for i in range(0, len(shrinking), 10)]
    curves = [
        Curve("without the entropy", steps, shrinking[::10]),
        Curve("with it, another joint", steps, steady[::10]),
    ]
    yield Picture("q's scale along training", "step", "scale", curves, "y")


@fact("course", "ignored latents", "Bowman et al. 2016; Lucas et al. 2019; derivation")
def an_ignored_latent_goes_to_its_prior(sampler: Sampler) -> FactResults:
    """A latent that the decoder ignores costs only its divergence from the prior: its q(z_j | x) goes to N(0, 1), KL to
    0; the latents that the decoder uses keep theirs."""
    W = torch.tensor([[1.0, 0.3, 0.0], [0.2, -1.0, 0.0], [0.7, 0.5, 0.0], [-0.4, 0.9, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(16, 3, generator=generator, dtype=torch.float64) @ W.mT
    x = x + 0.5 * torch.randn(16, 4, generator=generator, dtype=torch.float64)

    def joint(z: Tensor) -> Tensor:
        return -z.square().sum(-1) / 2 - (x - z @ W.mT).square().sum(-1) / (2 * 0.25)

    ones = torch.ones(16, 3, dtype=torch.float64)
    leaves = {name: value.requires_grad_() for name, value in {"loc": 1 * ones, "log_scale": -1 * ones}.items()}
    optimiser, path = torch.optim.Adam(list(leaves.values()), lr=0.03), []
    estimator = estimators.get("sticking_the_landing")
    sampler.start()
    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 0.03 * (1 - step / 400)
        scale = leaves["log_scale"].exp()
        path.append(((leaves["loc"].square() + scale.square() - 1) / 2 - leaves["log_scale"]).mean(0).detach())
        optimiser.zero_grad()
        q = normal({"loc": leaves["loc"], "scale": scale})
        (-estimator.surrogate(q, estimators.Evidence(joint), 8).sum()).backward()
        optimiser.step()
    used, ignored = path[-1][:2], float(path[-1][2])
    yield below("KL of the ignored latent, nats", 0.01, ignored)
    yield above("least KL of the others, nats", 0.3, float(used.min()))
    yield near("its mean |loc|", 0.0, float(leaves["loc"].detach()[:, 2].abs().mean()), 0.05, scale=1.0)
    yield near("its scale", 1.0, float(leaves["log_scale"].detach()[:, 2].exp().mean()), 0.05)
    steps = [float(i) for i in range(0, 400, 10)]
    names = ("z1, used", "z2, used", "z3, ignored")
    curves = [Curve(name.replace(",", ":"), steps, [float(kl[j]) for kl in path[::10]]) for j, name in enumerate(names)]
    yield Picture("Divergence from the prior along training", "step", "mean KL, nats", curves, "y")
