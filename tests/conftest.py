"""Shapes in types are checked by beartype, except where code compiles (`GRADEST_NO_SHAPES=1`)."""

import os

from jaxtyping import install_import_hook

if not os.environ.get("GRADEST_NO_SHAPES"):
    install_import_hook(["estimators", "bench"], "beartype.beartype")
