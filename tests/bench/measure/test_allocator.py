"""Memory that is freed is not faulted in anew, in a process that was told so."""

import platform

import pytest

from bench.isolation.call import call
from bench.isolation.endings import Returned
from tests.support import tasks


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator is left as it is")
@pytest.mark.usefixtures("forked_workers")
def test_temporaries_are_faulted_in_once():
    """Twenty steps of 32 MiB are 160,000 pages of 4 KiB, or some hundred of 2 MiB."""
    default, kept = call(tasks.faults, False), call(tasks.faults, True)
    assert isinstance(default, Returned) and isinstance(kept, Returned)
    assert 10 * kept.value < default.value > 20
