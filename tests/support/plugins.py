"""Plug-ins that a test loads and that the next one does not see."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plugins_forgotten() -> Iterator[None]:
    """What is registered inside is forgotten after it, and a file of the same name is then read again."""
    from bench.catalogue.listing import REGISTRIES

    before = {kind: dict(registry._classes) for kind, registry in REGISTRIES.items()}
    loaded = set(sys.modules)
    try:
        yield
    finally:
        for kind, registry in REGISTRIES.items():
            registry._classes = before[kind]
        for name in [name for name in sys.modules if name.startswith("gradest_plugin_") and name not in loaded]:
            del sys.modules[name]
