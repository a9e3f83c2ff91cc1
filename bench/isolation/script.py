"""The script that runs, which separate processes need not import."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_main() -> Iterator[None]:
    """Processes started inside do not import the script that runs: it need not guard its calls by `if __name__ == …`.

    Nothing of it is needed there: its functions travel as bytes of cloudpickle.
    """
    main = sys.modules["__main__"]
    kept = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in kept:
        setattr(main, name, None)
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)
