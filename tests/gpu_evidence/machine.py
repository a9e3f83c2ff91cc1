"""What machine this is, and the packages that it lacks from the wheels that were brought along.

    python -m tests.gpu_evidence.machine PACKAGES WHEELS

Standard library alone, until the wheels are there.
"""

import json
import platform
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

BROUGHT = {
    "annotated-doc": "annotated_doc",
    "annotated-types": "annotated_types",
    "beartype": "beartype",
    "nvidia-ml-py": "pynvml",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
    "typing-inspection": "typing_inspection",
}
"""The distributions of `make gpu-wheels`, and the module of each."""


def main() -> None:
    """A line or more for each question; one that has no answer says why."""
    packages, wheels = map(Path, sys.argv[1:3])
    print(f"Python {platform.python_version()}; Python.h is {'' if header().is_file() else 'not '}there")
    print(answer(["gcc", "--version"]).partition("\n")[0])
    print(installed(missing(), packages, wheels))
    print(answer(["nvidia-smi", "-q"]))
    sys.path.append(str(packages))
    print(json.dumps(versions(), indent=1))


def header() -> Path:
    """Where Python.h lies, which torch's compiler needs."""
    return Path(sysconfig.get_path("include")) / "Python.h"


def missing() -> list[str]:
    """The distributions that this Python lacks."""
    return [name for name, module in BROUGHT.items() if find_spec(module) is None]


def installed(names: list[str], packages: Path, wheels: Path) -> str:
    """Puts the distributions into the folder `packages`, without network; returns what was done."""
    if not names:
        return "no package is missing"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
    return f"installing {', '.join(names)}: " + (
        answer([*pip, "--find-links", str(wheels), "--target", str(packages), *names]) or "done"
    )


def answer(command: list[str]) -> str:
    """What a program prints; why it cannot be asked where it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {type(error).__name__}: {error}"
    return (done.stdout + done.stderr).strip()


def versions() -> dict[str, object]:
    """gradest's own record of the machine, and what torch was built for."""
    try:
        import torch

        from bench.provenance.machine import machine_environment
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {**machine_environment(), "torch_cuda": torch.version.cuda, "cuda_is_available": torch.cuda.is_available()}


if __name__ == "__main__":
    main()
