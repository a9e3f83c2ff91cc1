"""A user's Python files: plug-ins, whose import registers the classes they define, and scripts that define names."""

import importlib.util
import linecache
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from estimators.errors import BadInput, nearest


def load_files(files: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """Imports each file once, as the module `gradest_plugin_<file name>`.

    Args:
        files: One path or several.

    Returns:
        The absolute paths.

    Raises:
        BadInput: A file does not exist, cannot be imported, or has the same name as another.
    """
    paths = tuple(Path(path).resolve() for path in ([files] if isinstance(files, str | Path) else files))
    for path in paths:
        load_file(path)
    return paths


@dataclass(frozen=True)
class PluginFile:
    """A plug-in file, and its text when it was imported here: other processes run this text, whatever the file is now.

    So the source that a record names is the source that ran, also when the file is edited in between.
    """

    path: str
    text: str

    @classmethod
    def imported(cls, path: Path) -> "PluginFile":
        """The plug-in at an absolute path, as `load_files` returns it."""
        return cls(str(path), _TEXTS[str(path)])

    def load(self) -> ModuleType:
        """Imports the text."""
        return load_file(Path(self.path), self.text)


_TEXTS: dict[str, str] = {}


def load_file(path: Path, text: str | None = None) -> ModuleType:
    """Returns the file as a module, importing it the first time; `text` stands for the content of the file.

    Raises BadInput if the file does not exist or fails.
    """
    path = path.resolve() if text is None else path
    name = f"gradest_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if loaded is not None:
        raise BadInput(f"two plug-in files have the same name: {loaded.__file__} and {path}; rename one of them")
    if text is None and not path.is_file():
        raise BadInput(f"the plug-in file {path} does not exist")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"the plug-in file {path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _execute(module, path, path.read_bytes() if text is None else text.encode())
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt | BadInput):
            raise
        raise BadInput(f"the plug-in file {path} does not import: {type(error).__name__}: {error}") from error
    return module


def _execute(module: ModuleType, path: Path, content: bytes) -> None:
    """Runs the content of a file as a module; digests and tracebacks show this content, though the file may change."""
    text = _TEXTS[str(path)] = importlib.util.decode_source(content)
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    exec(compile(content, path, "exec"), vars(module))


def load_script(path: str | Path, needed: Sequence[str], kind: str) -> ModuleType:
    """Imports a file that has to define some names, as the module `gradest_<kind>_<file name>`.

    The file may import modules that lie beside it.

    Args:
        path: The file.
        needed: Names that it must define.
        kind: What it is, in a word.

    Raises:
        BadInput: The file does not exist, cannot be imported, or does not define a name.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no file {path}; it should define {', '.join(needed)}")
    spec = importlib.util.spec_from_file_location(f"gradest_{kind}_{path.stem}", path)
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
    for name in needed:
        if not hasattr(module, name):
            found = nearest(name, [each for each in vars(module) if not each.startswith("_")])
            raise BadInput(f"{path} must define {', '.join(needed)}, and defines no {name!r}; {found}")
    return module
