"""Reading a torch distribution: its base, its parameters, its class and its support."""

import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal
from torch.distributions import OneHotCategorical as Categorical

from estimators.errors import BadInput


def base(q: Distribution) -> Distribution:
    """Returns q without its `Independent` wrappers.

    >>> base(Independent(Normal(torch.zeros(2), 1.0), 1))
    Normal(loc: torch.Size([2]), scale: torch.Size([2]))
    """
    while isinstance(q, Independent):
        q = q.base_dist
    return q


def logits(q: Distribution) -> Tensor:
    """Returns the logits of a Bernoulli or one-hot categorical q, `[*batch, *event]`.

    Those of a categorical are finite: −∞, for a masked category, becomes −√(the largest number), whose softmax is 0 as
    well and whose gradient is 0. Raises `TypeError` for any other distribution.

    >>> logits(Categorical(logits=torch.tensor([0.0, -torch.inf]))).isfinite()
    tensor([True, True])
    """
    inner = base(q)
    if not isinstance(inner, Bernoulli | Categorical):
        raise TypeError(f"expected a Bernoulli or a one-hot categorical, found {type(inner).__name__}")
    if isinstance(inner, Bernoulli):
        return inner.logits  # unchanged: `distinct` reads their strides, and `settled` has made torch's own finite
    return bounded(inner.logits)


def bounded(phi: Tensor) -> Tensor:
    """Returns logits clamped to ±√(the largest number): infinite logits become finite and keep their probabilities.

    >>> bounded(torch.tensor([-torch.inf, 3.0])).sigmoid()
    tensor([0.0000, 0.9526])
    """
    most = torch.finfo(phi.dtype).max ** 0.5
    return phi.clamp(-most, most)


def settled(q: Distribution, *, ends: bool = False) -> Distribution:
    """Returns q with infinite logits made finite (see `bounded`) if q consists of torch's Bernoullis with logits.

    torch's log-density of a sure bit is ∞ − ∞. With finite logits its log-density is 0 and all gradients in its logit
    are 0, their limit. Raises `BadInput` if probabilities of bits or categories are themselves the parameters, with a
    gradient, and a probability is exactly 0 or 1: torch's gradient in it is 0, while that of E f is not. With `ends`,
    bits do not raise: an estimator that evaluates both values of each bit (`Traits.ends`) is correct there.

    >>> settled(Bernoulli(logits=torch.tensor([torch.inf, 0.0]))).log_prob(torch.tensor([1.0, 1.0])).exp()
    tensor([1.0000, 0.5000])
    """
    kind = type(q)  # exactly this class: a subclass may have another log-density
    if kind is Independent and isinstance(q, Independent):
        inner = settled(q.base_dist, ends=ends)
        return q if inner is q.base_dist else _with(q, base_dist=inner)
    if not isinstance(q, Bernoulli | Categorical) or (kind is not Bernoulli and kind is not Categorical):
        return q
    given = vars(q if isinstance(q, Bernoulli) else q._categorical)
    if is_parameter(given.get("probs")) and not (ends and isinstance(q, Bernoulli)):
        _require_inside(q, given["probs"])
    if isinstance(q, Bernoulli) and given["_param"] is given.get("logits"):
        finite = bounded(given["_param"])
        return _with(q, logits=finite, _param=finite)
    return q


def _with(q: Distribution, **parts: Any) -> Distribution:
    """Returns a copy of q with some attributes replaced."""
    twin = object.__new__(type(q))  # `copy.copy` takes ten times as long
    twin.__dict__.update(vars(q), **parts)
    return twin


def is_parameter(probs: Tensor | None) -> bool:
    """Returns whether `probs`, a view or a normalised copy made by torch's constructor, comes straight from a leaf.

    >>> p = torch.full((3,), 0.5, requires_grad=True)
    >>> [is_parameter(Bernoulli(probs=each).probs) for each in (p, p.sigmoid(), p.detach())]
    [True, False, False]
    """
    if probs is None or not probs.requires_grad:
        return False
    before = getattr(probs.grad_fn, "next_functions", ())
    made = type(probs.grad_fn).__name__.startswith(("Expand", "Div"))
    return probs.is_leaf or (made and bool(before) and hasattr(before[0][0], "variable"))


def _require_inside(q: Distribution, probs: Tensor) -> None:
    """Raises `BadInput` if a probability is exactly 0 or 1; skipped in compiled code, where values are unknown."""
    if torch.compiler.is_compiling() or bool(((probs > 0) & (probs < 1)).all()):
        return
    raise BadInput(
        f"a probability of {type(q).__name__} is exactly 0 or 1 and is itself a parameter with a gradient: no draw "
        "shows its effect, and torch's gradient in it is 0, while that of E f is not. Keep it above 0 and below 1, use "
        "logits or, for bits, use an estimator that evaluates both values, such as local_expectation"
    )


def loc_scale(q: Distribution) -> tuple[Tensor, Tensor]:
    """Returns loc and scale of a diagonal Normal q, both `[*batch, *event]`; raises `TypeError` for any other q."""
    inner = base(q)
    if not isinstance(inner, Normal):
        raise TypeError(f"expected a diagonal Normal, found {type(inner).__name__}")
    return inner.loc, inner.scale


def parameters(q: Distribution) -> dict[str, Tensor]:
    """Returns q's parameters by name, as `rebuild` takes them.

    Of several equivalent parametrisations there is one: logits for probs, a Cholesky factor for a covariance or a
    precision. Discrete parameters are left out.

    >>> sorted(parameters(Independent(Normal(torch.zeros(2), torch.ones(2)), 1)))
    ['loc', 'scale']
    >>> sorted(parameters(torch.distributions.Binomial(6, logits=torch.zeros(2))))
    ['logits']
    """
    inner = base(q)
    names = [name for name, kind in inner.arg_constraints.items() if not kind.is_discrete]
    taken, _ = _constructor(type(inner))
    names = [name for name in names if name in taken] or names
    return {name: getattr(inner, name) for name in names if INSTEAD.get(name) not in names}


COMPARED_DRAWS = 16
"""How many draws are compared to decide whether two distributions are the same."""

INSTEAD = {"probs": "logits", "covariance_matrix": "scale_tril", "precision_matrix": "scale_tril"}
"""Parameters, each with the parameter that replaces it if the constructor takes both."""


def rebuild(q: Distribution, values: dict[str, Tensor]) -> Distribution:
    """Returns a distribution of q's class with other parameters, which may have more leading axes.

    All other arguments of the constructor, such as a number of trials or a temperature, are read from q. Raises
    `BadInput` if q does not hold them.

    >>> rebuild(torch.distributions.Multinomial(10, logits=torch.zeros(3)), {"logits": torch.ones(2, 3)}).mean.sum(-1)
    tensor([10., 10.])
    """
    inner = base(q)
    kind = type(inner)
    fixed = _fixed(inner, values)
    if not torch.compiler.is_compiling():
        _shown_the_same(inner, fixed)
    again = _made(kind, values, fixed)
    extra = len(again.event_shape)
    return Independent(again, len(q.event_shape) - extra, validate_args=False) if len(q.event_shape) > extra else again


def _made(kind: type[Distribution], values: dict[str, Tensor], fixed: dict[str, Any]) -> Distribution:
    """Creates an instance as torch's own `expand` does: calling `kind` would not compile."""
    again: Distribution = object.__new__(kind)
    again.__init__(**values, **fixed)  # type: ignore[misc]
    return again


_same: dict[Any, bool] = {}
"""By class and constants: whether rebuilding the class from its own parameters gives the same distribution."""


def _shown_the_same(inner: Distribution, fixed: dict[str, Any]) -> None:
    """Raises `BadInput` if a class with its own constructor is another distribution after rebuilding.

    Tested once per class and constants, on the CPU, by a few seeded draws and their log-densities. torch's generator is
    left as it was.
    """
    kind = type(inner)
    if kind.__init__.__module__.startswith("torch.distributions"):
        return
    key = (kind, tuple((name, value) for name, value in fixed.items() if isinstance(value, bool | int | float | str)))
    if key not in _same:
        own = parameters(inner)
        if not all(value.is_cpu for value in own.values()):
            return
        try:
            _same[key] = alike(inner, _made(kind, own, fixed))
        except Exception:  # inside a transform, or a sampler that fails: unknown so far
            return
    if not _same[key]:
        raise BadInput(
            f"{kind.__name__} is another distribution when it is built again from its parameters "
            f"({', '.join(parameters(inner))}): its draws or its log-density differ, for example because its "
            "constructor changes its arguments"
        )


def alike(q: Distribution, again: Distribution) -> bool:
    """Returns whether two distributions on the CPU have equal seeded draws and equal log-densities, if they have any.

    torch's generator is left as it was, and generators of other devices are not touched.
    """
    draws = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for each in (q, again):
            torch.default_generator.manual_seed(0)
            draws.append(each.sample((COMPARED_DRAWS,)))
        if not torch.allclose(draws[0], draws[1], equal_nan=True):
            return False
        try:
            return torch.allclose(q.log_prob(draws[0]), again.log_prob(draws[0]), equal_nan=True)
        except NotImplementedError:
            return True


def _fixed(inner: Distribution, values: dict[str, Tensor]) -> dict[str, Any]:
    """Returns the constructor's arguments apart from `values`, read from the distribution."""
    kind = type(inner)
    taken, open_ended = _constructor(kind)
    missing = [] if open_ended else [name for name in values if name not in taken]
    if missing:
        raise BadInput(f"{kind.__name__} cannot be built at other parameters: its constructor takes no {missing[0]!r}")
    ways = {"probs", "logits", "covariance_matrix", "precision_matrix", "scale_tril"} & {*inner.arg_constraints}
    fixed = {name: _kept(inner, name) for name in taken if name not in {*values, *ways, "validate_args"}}
    return fixed | ({"validate_args": False} if "validate_args" in taken or open_ended else {})


def _kept(inner: Distribution, name: str) -> Any:
    """Returns a distribution's attribute `name`, or the attribute with an underscore before that name."""
    for known in (name, f"_{name}"):
        if hasattr(inner, known):
            return getattr(inner, known)
    raise BadInput(
        f"{type(inner).__name__} cannot be built at other parameters: its constructor takes {name!r}, and it has no "
        "attribute of that name to read it from"
    )


def _constructor(kind: type[Distribution]) -> tuple[tuple[str, ...], bool]:
    """Returns the names of a constructor's arguments, and whether it accepts any other name as well."""
    return _inspected(kind)


_constructor._dynamo_marked_constant = True  # pyright: ignore  (torch.compiler.assume_constant_result imports slowly)


@cache
def _inspected(kind: type[Distribution]) -> tuple[tuple[str, ...], bool]:
    given = list(inspect.signature(kind).parameters.values())
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = tuple(each.name for each in given if each.kind in named)
    return names, any(each.kind is inspect.Parameter.VAR_KEYWORD for each in given)


def remakable(q: Distribution) -> bool:
    """Returns whether `rebuild` can make a distribution like q: not so for mixtures and chains of transforms.

    >>> remakable(Normal(torch.zeros(2), 1.0))
    True
    """
    try:
        own = parameters(q)
        again = rebuild(q, own)
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return False
    return bool(own) and (again.batch_shape, again.event_shape) == (q.batch_shape, q.event_shape)


def linear(gradient: Tensor, parameter: Tensor, q: Distribution) -> Tensor:
    """Returns ⟨gradient, parameter⟩ over the event axes, `[*batch]`: a surrogate whose gradient is `gradient`.

    Infinite parameters, such as the logit of a masked category, are left out: their gradient is 0.
    """
    axes = range(len(q.batch_shape), parameter.dim())
    product = gradient.detach() * torch.where(parameter.isinf(), 0, parameter)
    return product.sum(tuple(axes)) if axes else product


def along(slope: Tensor, z: Tensor, q: Distribution) -> Tensor:
    """Returns ⟨slope, z⟩ over the event axes of draws z, `[*sample, *batch]`: its gradient is that of f through z."""
    product = slope.detach() * z
    return product.flatten(-len(q.event_shape)).sum(-1) if q.event_shape else product


def valued(value: Tensor, surrogate: Tensor) -> Tensor:
    """Returns `value` with the gradient of `value + surrogate`."""
    return value + (surrogate - surrogate.detach())


def log_density(q: Distribution, z: Tensor) -> Tensor:
    """Returns log q(z), `[*sample, *batch]`; a discrete z may lie between its values, whatever q's `validate_args` is.

    One-hot variables: Σ z·log p, linear in z (torch's own is that of the largest entry, which jumps); a category of
    probability 0 adds 0 unless z is nonzero there. Bits: z·logit − softplus(logit). Others, and classes with their own
    log-density: `log_prob`. At the values of a discrete z the result equals `q.log_prob(z)`. Raises `BadInput` if torch
    refuses a continuous z outside the support.

    >>> q = Categorical(logits=torch.zeros(4))
    >>> log_density(q, torch.full((4,), 0.25)).exp()
    tensor(0.2500)
    >>> log_density(Bernoulli(logits=torch.tensor(0.0)), torch.tensor(0.5)).exp()
    tensor(0.5000)
    """
    kind = type(q).log_prob
    if isinstance(q, Independent) and kind is Independent.log_prob:
        each, axes = log_density(q.base_dist, z), q.reinterpreted_batch_ndims
        return each.flatten(-axes).sum(-1) if axes else each
    if isinstance(q, Categorical) and kind is Categorical.log_prob:
        return (z * q.logits.masked_fill((q.logits == -torch.inf) & (z == 0), 0.0)).sum(-1)
    quiet = unvalidated(q)
    if quiet is not q and q.support.is_discrete:  # pyright: ignore[reportOptionalMemberAccess]
        return quiet.log_prob(z)
    try:
        return q.log_prob(z)
    except ValueError as error:
        if "within the support" not in str(error):
            raise
        raise BadInput(
            f"log q(z) was evaluated at a z outside the support of {type(q).__name__}: an estimator that takes steps "
            "in single coordinates of z (finite differences, SPSA) leaves a support such as a simplex; "
            "reparameterisation does not"
        ) from error


def unvalidated(q: Distribution) -> Distribution:
    """Returns q, and the distributions it is composed of, without torch's validation of z.

    >>> unvalidated(Normal(0.0, 1.0)).log_prob(torch.tensor(torch.nan))
    tensor(nan)
    """
    parts = {name: unvalidated(part) for name, part in vars(q).items() if isinstance(part, Distribution)}
    if not q._validate_args and all(part is vars(q)[name] for name, part in parts.items()):
        return q
    return _with(q, **parts, _validate_args=False)


def sample(q: Distribution, *shape: int) -> Tensor:
    """Returns draws of q as constants, `[*shape, *batch, *event]`.

    They are constants in forward mode as well, which the `no_grad` in torch's own `sample` does not stop if that calls
    `rsample`.

    >>> sample(Normal(torch.zeros(2), 1.0), 3).shape
    torch.Size([3, 2])
    """
    return q.sample(torch.Size(shape)).detach()


def mode(q: Distribution) -> Tensor:
    """Returns a mode of q, `[*batch, *event]`, detached; at p = ½ a bit's mode is 0 (torch's is NaN)."""
    inner = base(q)
    if isinstance(inner, Bernoulli):
        return (inner.logits > 0).to(inner.logits.dtype)
    return q.mode.detach()


def states(q: Distribution) -> int | None:
    """Returns the number of values of z, or None if it is infinite.

    >>> states(Independent(Bernoulli(logits=torch.zeros(5)), 1))
    32
    """
    inner = base(q)
    if not inner.has_enumerate_support:
        return None
    try:
        each = inner.event_shape[-1] if isinstance(inner, Categorical) else len(inner.enumerate_support(expand=False))
    except NotImplementedError:  # a Binomial whose variables have different numbers of trials
        return None
    variables = q.event_shape[: len(q.event_shape) - len(inner.event_shape)].numel()
    return each**variables


def support(q: Distribution) -> Tensor:
    """Returns every value of z, `[states, *batch, *event]`, detached (torch's own method raises for `Independent`).

    >>> support(Independent(Bernoulli(logits=torch.zeros(2)), 1)).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    inner = base(q)
    values = inner.enumerate_support(expand=False).detach()
    values = values.reshape(values.shape[0], *inner.event_shape)
    free = q.event_shape[: len(q.event_shape) - len(inner.event_shape)]
    each, variables = len(values), free.numel()
    place = each ** torch.arange(variables - 1, -1, -1, device=values.device)
    index = torch.arange(each**variables, device=values.device).unsqueeze(-1) // place % each
    table = values[index].reshape(len(index), *free, *inner.event_shape)
    shape = (len(index), *(1 for _ in q.batch_shape), *q.event_shape)
    return table.reshape(shape).expand(len(index), *q.batch_shape, *q.event_shape)
