"""The code of a class, from a file that is parsed once, is the code that `inspect` finds."""

import inspect

from bench.distributions import distributions
from bench.objectives import objectives
from bench.plugins.files import load_file
from bench.provenance import identity
from bench.provenance.identity import bare_code, class_digest
from estimators.registry import estimators

SEVERAL = '''
def outer():
    class Inside:
        """In a function."""
    return Inside

class Twice:
    """Once."""
    first = 1

Before = Twice

class Twice:
    """And again."""
    second = 2

    class Nested:
        """It is found by its path."""
        third = 3
'''


def test_the_code_of_every_tenth_class_is_that_of_inspect():
    classes = [cls for registry in (distributions, objectives, estimators) for _, cls in registry][::10]
    bases = {base for cls in classes for base in cls.__mro__ if base.__module__.split(".")[0] not in identity.OUTSIDE}
    assert len(bases) > 20
    for base in bases:
        assert identity._source(base) == bare_code(inspect.getsource(base)), base


def test_classes_that_share_a_name_or_stand_in_a_function_are_told_apart(tmp_path):
    path = tmp_path / "several.py"
    path.write_text(SEVERAL)
    module = load_file(path)
    nested = identity._source(module.Twice.Nested)
    assert "third = 3" in nested and "It is found" not in nested
    for cls in (module.Twice, module.outer()):
        assert identity._source(cls) == bare_code(inspect.getsource(cls))
    assert class_digest(module.outer()) != class_digest(module.Twice.Nested)
