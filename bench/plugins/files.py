"""Plug-ins from a user's files; importing one registers what it defines."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from estimators.errors import BadInput


def load_files(files: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """Imports each file once, as the module `gradest_plugin_<name of the file>`.

    Args:
        files: A path or several.

    Returns:
        The absolute paths.

    Raises:
        BadInput: A file is not there, does not import, or has the name of another.
    """
    paths = tuple(Path(path).resolve() for path in ([files] if isinstance(files, str | Path) else files))
    for path in paths:
        load_file(path)
    return paths


def load_file(path: Path) -> ModuleType:
    """The file as a module, imported when it was not yet; raises `BadInput` with what is wrong with it."""
    path = path.resolve()
    name = f"gradest_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if loaded is not None:
        raise BadInput(f"two plug-in files have one name: {loaded.__file__} and {path}; rename one of them")
    if not path.is_file():
        raise BadInput(f"the plug-in file {path} is not there")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"the plug-in file {path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt | BadInput):
            raise
        raise BadInput(f"the plug-in file {path} does not import: {type(error).__name__}: {error}") from error
    return module
