"""The lines of code that use an estimator on the user's own objects; they are run before they are printed."""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from bench.advice.given_objective import Spelling
from bench.advice.own_model import SHORT, OwnModel
from estimators.core import Estimator
from estimators.nested import PerVariable


def printed_code(made: str, fit_steps: int | None, samples: int, spelling: Spelling) -> str:
    """The code; `made` makes the estimator. `parameters`, `distribution` and `objective` are what the user gave."""
    f = spelling.expression
    if fit_steps is not None:
        made += f".fit({spelling.distribution}, {f}, n={samples}, steps={fit_steps})"
    names = {"get", *spelling.imports, *({"PerVariable"} if made.startswith("PerVariable(") else ())}
    imports = ", ".join(sorted(names, key=str.lower))
    return "\n".join([
        *(["import torch"] if "torch." in f + "".join(spelling.before) else []),
        f"from estimators import {imports}",
        *spelling.before,
        f"estimator = {made}",
        f"estimator.surrogate({spelling.distribution}, {spelling.in_a_step}, n={samples}).mean().backward()",
    ])  # fmt: skip


def in_code(estimator: Estimator) -> str:
    """Returns the code that makes an estimator: its name and the settings that differ from their defaults.

    >>> from estimators import get
    >>> in_code(get("antithetic", inner=get("reparameterisation")))
    'get("antithetic", inner=get("reparameterisation"))'
    """
    if isinstance(estimator, PerVariable):
        return _several_in_code(estimator)
    said = [f'"{estimator.name}"', *(f"{key}={_value(each)}" for key, each in settings(estimator).items())]  # type: ignore[attr-defined]
    return f"get({', '.join(said)})"


def name_with_settings(estimator: Estimator) -> str:
    """Returns an estimator's name for a table, with the settings that differ from their defaults.

    >>> from estimators import get
    >>> name_with_settings(get("rebar", temperature=0.1))
    'rebar(temperature=0.1)'
    >>> from estimators import PerVariable
    >>> name_with_settings(PerVariable({"switch": get("rloo"), "weight": get("rloo")}))
    'rloo for switch and rloo (n = 2) for weight'
    """
    if isinstance(estimator, PerVariable):
        each = zip(estimator.estimators, estimator.labels, ("", *map(_inner_samples, estimator.inner)), strict=True)
        return " and ".join(f"{name_with_settings(own)}{count} for {label}" for own, label, count in each)
    own = settings(estimator)
    said = ", ".join(
        f"{key}={name_with_settings(each) if isinstance(each, Estimator) else each}" for key, each in own.items()
    )
    return f"{estimator.name}({said})" if said else estimator.name  # type: ignore[attr-defined]


def _inner_samples(n: int) -> str:
    return f" (n = {n})" if n > 1 else ""


def _several_in_code(estimator: PerVariable) -> str:
    """How to make an estimator for each variable.

    >>> from estimators import get
    >>> in_code(PerVariable([get("rloo"), get("reparameterisation")]))
    'PerVariable([get("rloo"), get("reparameterisation")], inner=[1])'
    """
    each = [in_code(own) for own in estimator.estimators]
    named = [f'"{name}": {own}' for name, own in zip(estimator.names, each, strict=False)]
    listed = f"{{{', '.join(named)}}}" if named else f"[{', '.join(each)}]"
    return f"PerVariable({listed}, inner={list(estimator.inner)})"


def settings(estimator: Estimator) -> dict[str, Any]:
    """The settings that are not the class's default ones."""
    public = [each for each in fields(estimator) if each.init and not each.metadata.get("private")]  # type: ignore[arg-type]
    return {
        each.name: getattr(estimator, each.name) for each in public if getattr(estimator, each.name) != each.default
    }


def _value(value: Any) -> str:
    return in_code(value) if isinstance(value, Estimator) else repr(value)


def failure_of(code: str, model: OwnModel) -> str | None:
    """Returns why the code fails on the user's own objects, in a sentence; None if every parameter gets a gradient."""
    scope = dict(model.given)
    own = scope["parameters"]
    scope["parameters"] = leaves = _wanting_gradients(own)
    torch.manual_seed(0)
    try:
        exec(compile(code, "the printed code", "exec"), scope)
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return f"the code to use it fails on the given objects: {said}"
    given = _tensors(leaves)
    if not any(value.grad is not None for value in given):
        return "the code to use it gives the parameters no gradient"
    if not all(bool(value.grad.isfinite().all()) for value in given if value.grad is not None):
        return "the code to use it gives a gradient that is NaN or infinite"
    return None


def _wanting_gradients(own: Any) -> Any:
    """The user's parameters as leaves; a module as it is, whose parameters are leaves already."""
    if isinstance(own, nn.Module):
        own.requires_grad_(True)
        own.zero_grad()
        return own
    if isinstance(own, Tensor):
        return _leaf(own)
    return {name: _leaf(value) for name, value in own.items()}


def _leaf(value: Tensor) -> Tensor:
    value = value.detach().clone()
    return (value.float() if value.dtype in SHORT else value).requires_grad_()


def _tensors(given: Any) -> list[Tensor]:
    if isinstance(given, nn.Module):
        return list(given.parameters())
    return [given] if isinstance(given, Tensor) else list(given.values())
