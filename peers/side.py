"""The sides: each is one process or two in an environment of its own, which wait for their turn."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

HERE = Path(__file__).parent
OURS, EAGER = "gradest, compiled", "gradest, eager"
JAX, JAX_ONE_THREAD = "JAX", "JAX, one thread"
JAX_TWO_DEVICES, JAX_TWO_PROCESSES = "JAX, two devices", "JAX, two processes"
LOOPS = TORCH_LOOP, STORCHASTIC_LOOP, PYRO_LOOP = "torch loop", "Storchastic loop", "Pyro loop"
STORCHASTIC_PLATE, PYRO_PLATE, CLOSED_FORM = "Storchastic plate", "Pyro plate", "closed form in C"


@dataclass(frozen=True)
class Launch:
    """How a side uses two cores: a script with its argument, in so many processes of so many threads each."""

    script: str
    argument: str = ""
    environment: str | None = None
    processes: int = 1
    threads: int = 1
    devices: int = 1

    def variables(self) -> dict[str, str]:
        """What torch and XLA read of it; XLA takes either one thread or as many as there are cores."""
        one = ["--xla_cpu_multi_thread_eigen=false", "intra_op_parallelism_threads=1"] if self.threads == 1 else []
        shards = [f"--xla_force_host_platform_device_count={self.devices}"] if self.devices > 1 else []
        return {"OMP_NUM_THREADS": str(self.threads), "XLA_FLAGS": " ".join(one + shards)}


SIDES = {
    OURS: Launch("ours.py", "compile", processes=2),
    EAGER: Launch("ours.py", "eager", processes=2),
    JAX: Launch("jax_vmap.py", environment="jax", threads=2),
    JAX_ONE_THREAD: Launch("jax_vmap.py", environment="jax"),
    JAX_TWO_DEVICES: Launch("jax_vmap.py", environment="jax", devices=2),
    JAX_TWO_PROCESSES: Launch("jax_vmap.py", environment="jax", processes=2),
    "numpyro": Launch("numpyro_vmap.py", environment="jax", threads=2),
    "optax": Launch("optax_jacobians.py", environment="jax", threads=2),
    TORCH_LOOP: Launch("torch_loop.py"),
    STORCHASTIC_LOOP: Launch("storchastic.py", "loop", "storchastic"),
    STORCHASTIC_PLATE: Launch("storchastic.py", "plate", "storchastic", threads=2),
    PYRO_LOOP: Launch("pyro_bound.py", "loop", "pyro"),
    PYRO_PLATE: Launch("pyro_bound.py", "plate", "pyro", threads=2),
    CLOSED_FORM: Launch("closed_form.py", processes=2),
}
"""gradest and the limit in C take a process per core, as `gradest run` does; a peer runs in one process, with two
threads where it works on many estimates at once, and JAX in each of four ways."""


class Side:
    """Processes that answer requests about their cases; all are timed at once, the first tells the moments."""

    def __init__(self, environments: Path, data: Path, name: str) -> None:
        self.processes = [started(SIDES[name], environments, data) for _ in range(SIDES[name].processes)]
        hello, *_ = [answer(process) for process in self.processes]
        self.cases: list[str] = hello.get("cases", [])
        self.skipped: str = hello.get("skipped", "") or hello.get("error", "")

    def time(self, case: str, seconds: float) -> dict[str, Any]:
        """Estimates per second of all processes together, and per CPU second; `error` where one failed."""
        answers = asked(self.processes, case, "time", seconds=seconds)
        failed = [found for found in answers if "error" in found]
        if failed:
            return failed[0]
        return {
            "arrangement": answers[0]["arrangement"],
            "rate": sum(found["replicates"] / found["seconds"] for found in answers),
            "cpu rate": sum(found["replicates"] for found in answers) / sum(found["cpu"] for found in answers),
        }

    def moments(self, case: str, replicates: int) -> dict[str, Any]:
        """Mean and variance of at least so many estimates; `error` where it failed."""
        return asked(self.processes[:1], case, "moments", replicates=replicates)[0]

    def close(self) -> None:
        for process in self.processes:
            cast(IO[str], process.stdin).close()
            process.wait(10)


def started(side: Launch, environments: Path, data: Path) -> subprocess.Popen[str]:
    python = environments / side.environment / "bin" / "python" if side.environment else Path(sys.executable)
    paths = str(HERE) if side.environment else os.pathsep.join([str(HERE), str(HERE.parent)])
    return subprocess.Popen(
        [python, HERE / "sides" / side.script, data, side.argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": paths} | side.variables(),
    )


def asked(processes: list[subprocess.Popen[str]], case: str, do: str, **how: float) -> list[dict[str, Any]]:
    """What the processes say of a case, after all of them were asked."""
    for process in processes:
        if process.poll() is None:
            pipe = cast(IO[str], process.stdin)
            pipe.write(json.dumps({"case": case, "do": do, "how": how}) + "\n")
            pipe.flush()
    return [answer(process) for process in processes]


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = cast(IO[str], process.stdout).readline()
    return json.loads(line) if line else {"error": "the process has ended"}
