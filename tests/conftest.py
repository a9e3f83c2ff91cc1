"""Shapes in types are checked by beartype, except where code compiles (`GRADEST_NO_SHAPES=1`)."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.support import shapes

if not os.environ.get("GRADEST_NO_SHAPES"):
    shapes.install()


@pytest.fixture(scope="module", autouse=True)
def no_plugin_outlives_its_module() -> Iterator[None]:
    """What a module's tests register is forgotten after it: some estimators end the process, and others race them."""
    from bench.catalogue.listing import REGISTRIES

    before = {kind: dict(registry._classes) for kind, registry in REGISTRIES.items()}
    loaded = set(sys.modules)
    yield
    for kind, registry in REGISTRIES.items():
        registry._classes = before[kind]
    for name in [name for name in sys.modules if name.startswith("gradest_plugin_") and name not in loaded]:
        del sys.modules[name]
