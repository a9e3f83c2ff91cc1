"""A user's model from a file of ten lines."""

from pathlib import Path

from bench.advice.own_model import OwnModel, own_model
from bench.plugins.files import load_script

NEEDED = ("parameters", "distribution", "objective")


def load_model(path: str | Path, noisy: bool | str | None = None) -> OwnModel:
    """The model of a file that defines `parameters`, `distribution` and `objective`; see `bench.recommend`.

    `noisy` overrides what the file may say under that name. The file may import modules that lie beside it. Raises
    BadInput with a sentence for whatever does not fit together.
    """
    module = load_script(path, NEEDED, "model")
    said = getattr(module, "noisy", None) if noisy is None else noisy
    return own_model(*(getattr(module, name) for name in NEEDED), where=str(path), noisy=said)
