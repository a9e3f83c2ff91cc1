"""The limit on (a) and (b): the estimators' closed forms in C, with a generator of its own, built with cc.

Both vectorise; the generator (32-bit xorshift) is quick and would not pass as one for results.
"""

import ctypes
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from protocol import Step, serve

data = np.load(sys.argv[1])
REPLICATES = 256
OPTIONS = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]


def built() -> ctypes.CDLL:
    """The C file as a library."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "closed_form.so"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", *OPTIONS, source, "-o", library, "-lm"], check=True, capture_output=True)
        return ctypes.CDLL(str(library))


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def step(function, arguments, size: int) -> dict[str, Step]:
    total, square = np.empty(size, np.float32), np.empty(size, np.float32)

    def run():
        function(*arguments, REPLICATES, pointer(total), pointer(square))
        mean = total.astype(np.float64) / REPLICATES
        return REPLICATES, mean, square - REPLICATES * mean**2

    return {f"{REPLICATES} at once": run}


def bits(leave_one_out: int) -> dict[str, Step]:
    kept.append(1 / (1 + np.exp(-data["bits_logits"])))
    return step(limit.bits, (pointer(kept[-1]), ctypes.c_float(0.499), leave_one_out), 200)


def quadratic(path: int) -> dict[str, Step]:
    kept.extend([data["quadratic_loc"], np.exp(data["quadratic_log_scale"])])
    return step(limit.quadratic, (pointer(kept[-2]), pointer(kept[-1]), path), 200)


kept: list[np.ndarray] = []  # what C reads must not be collected
if not shutil.which("cc"):
    serve({}, skipped="there is no C compiler (cc) here")
else:
    limit = built()
    limit.seed(ctypes.c_uint64(0))
    serve(
        {
            "bits/reinforce": lambda: bits(0),
            "bits/rloo": lambda: bits(1),
            "quadratic/reinforce": lambda: quadratic(0),
            "quadratic/reparameterisation": lambda: quadratic(1),
        }
    )
