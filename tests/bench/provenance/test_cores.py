"""How many processes work side by side."""

import pytest

from bench.provenance.cores import cores, processes
from estimators.errors import BadInput


def test_one_process_per_core_unless_said():
    assert processes(None) == cores() >= 1
    assert processes(3) == 3
    with pytest.raises(BadInput, match="jobs must be at least 1, found 0"):
        processes(0)
