"""The suite `throughput`: bits, a VAE and a Normal, three estimators, eager, as graphs, compiled; in short blocks."""

import bench
from bench.suites.suite import parse_suite
from tests.gpu_evidence.asked import asked
from tests.gpu_evidence.sweep import measured

CELLS = (
    "samples == 2 and estimator in ['rloo', 'disarm', 'reparameterisation'] "
    "and objective in ['quadratic_bits', 'digits_vae', 'quadratic']"
)
SHORT = "samples == 2 and estimator == 'rloo' and objective == 'quadratic_bits'"
MODES = ("eager", "graph", "compile")
"""Each ends before the next begins; compiling takes longest."""


def main() -> None:
    given = asked()
    blocks = {"precision": 0.02, "max_seconds": 0.1 if given.short else 0.5}
    changed = {"device": [given.device], "throughput": blocks}
    suite = parse_suite(bench.load_suite("throughput").model_dump() | changed, "throughput")
    cells = SHORT if given.short else CELLS
    measured(suite, (f"{cells} and mode == '{mode}'" for mode in MODES), given.out / "throughput.parquet")


if __name__ == "__main__":
    main()
