"""A user's model from a file of ten lines."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from bench.advice.own_model import OwnModel, own_model
from estimators.errors import BadInput, nearest

NEEDED = ("parameters", "distribution", "objective")


def load_model(path: str | Path, noisy: bool | str | None = None) -> OwnModel:
    """The model of a file that defines `parameters`, `distribution` and `objective`; see `bench.recommend`.

    `noisy` overrides what the file may say under that name. The file may import modules that lie beside it. Raises
    BadInput with a sentence for whatever does not fit together.
    """
    path = Path(path)
    module = _imported(path)
    for name in NEEDED:
        if not hasattr(module, name):
            found = nearest(name, [each for each in vars(module) if not each.startswith("_")])
            raise BadInput(f"{path} must define {', '.join(NEEDED)}, and defines no {name!r}; {found}")
    said = getattr(module, "noisy", None) if noisy is None else noisy
    return own_model(*(getattr(module, name) for name in NEEDED), where=str(path), noisy=said)


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput(f"there is no file {path}; it should define {', '.join(NEEDED)}")
    spec = importlib.util.spec_from_file_location(f"gradest_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    beside = str(path.resolve().parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)  # it stays: a function of the file may import a sibling later
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadInput(f"{path} does not import: {type(error).__name__}: {error}") from error
    return module
