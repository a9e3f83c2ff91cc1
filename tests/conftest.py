"""Shapes in types are checked by beartype, except where code compiles (`GRADEST_NO_SHAPES=1`)."""

import os
from collections.abc import Iterator

import pytest

from tests.support import shapes
from tests.support.plugins import plugins_forgotten

if not os.environ.get("GRADEST_NO_SHAPES"):
    shapes.install()


@pytest.fixture(scope="module", autouse=True)
def no_plugin_outlives_its_module() -> Iterator[None]:
    """What a module's tests register is forgotten after it: some estimators end the process, and others race them."""
    with plugins_forgotten():
        yield
