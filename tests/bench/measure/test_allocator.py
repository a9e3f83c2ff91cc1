"""Memory that is freed is not faulted in anew, in a process that was told so."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from bench.system.optional import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    return [torch.ones(2**20) for _ in range(8)]
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator is left as it is")
def test_temporaries_are_faulted_in_once():
    """Twenty steps of 32 MiB are 160,000 pages of 4 KiB, or some hundred of 2 MiB."""
    default, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("default", "keep")
    )
    assert kept < 20 < default
