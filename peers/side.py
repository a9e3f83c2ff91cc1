"""The sides: each is a process in an environment of its own that waits for its turn."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

HERE = Path(__file__).parent
OURS, EAGER = "gradest, compiled", "gradest, eager"
JAX, JAX_DEFAULT, JAX_TWO = "JAX", "JAX, default generator", "JAX, two devices"
LOOPS = TORCH_LOOP, STORCHASTIC_LOOP, PYRO_LOOP = "torch loop", "Storchastic loop", "Pyro loop"
STORCHASTIC_PLATE, PYRO_PLATE, CLOSED_FORM = "Storchastic plate", "Pyro plate", "closed form in C"
SIDES = {
    OURS: (None, "ours.py", "compile"),
    EAGER: (None, "ours.py", "eager"),
    JAX: ("jax", "jax_vmap.py", "any"),
    JAX_DEFAULT: ("jax", "jax_vmap.py", "default"),
    JAX_TWO: ("jax", "jax_vmap.py", "two"),
    "numpyro": ("jax", "numpyro_vmap.py", ""),
    "optax": ("jax", "optax_jacobians.py", ""),
    TORCH_LOOP: (None, "torch_loop.py", ""),
    STORCHASTIC_LOOP: ("storchastic", "storchastic.py", "loop"),
    STORCHASTIC_PLATE: ("storchastic", "storchastic.py", "plate"),
    PYRO_LOOP: ("pyro", "pyro_bound.py", "loop"),
    PYRO_PLATE: ("pyro", "pyro_bound.py", "plate"),
    CLOSED_FORM: (None, "closed_form.py", ""),
}
"""By name: the environment (None is ours), the script and its argument."""

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
XLA = {"two": f"{ONE_THREAD} --xla_force_host_platform_device_count=2"}
"""XLA's options by a side's argument: a process has one device, unless it is asked for two."""


class Side:
    """A process that answers requests about its cases."""

    def __init__(self, environments: Path, data: Path, name: str) -> None:
        environment, script, argument = SIDES[name]
        python = environments / environment / "bin" / "python" if environment else Path(sys.executable)
        paths = os.pathsep.join([str(HERE), str(HERE.parent)]) if environment is None else str(HERE)
        self.process = subprocess.Popen(
            [python, HERE / "sides" / script, data, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "XLA_FLAGS": XLA.get(argument, ONE_THREAD)},
        )
        hello = self._answer()
        self.cases: list[str] = hello.get("cases", [])
        self.skipped: str = hello.get("skipped", "") or hello.get("error", "")

    def ask(self, case: str, do: str, **how: float) -> dict[str, Any]:
        """What the side says of a case; `error` where it cannot."""
        if self.process.poll() is not None:
            return {"error": "the process has ended"}
        pipe = cast(IO[str], self.process.stdin)
        pipe.write(json.dumps({"case": case, "do": do, "how": how}) + "\n")
        pipe.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = cast(IO[str], self.process.stdout).readline()
        return json.loads(line) if line else {"error": "the process has ended"}

    def close(self) -> None:
        cast(IO[str], self.process.stdin).close()
        self.process.wait(10)
