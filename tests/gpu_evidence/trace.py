"""A profiler's trace of one chunk of an accuracy cell, for chrome://tracing or Perfetto."""

import torch
from torch.profiler import ProfilerActivity, profile, record_function

import estimators
from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from peers.problems import CASES, PROBLEMS
from tests.gpu_evidence.asked import asked
from tests.gpu_evidence.files import written

PROBLEM, ESTIMATOR = "bits", "rloo"


def main() -> None:
    given = asked()
    draws = CASES[f"{PROBLEM}/{ESTIMATOR}"]
    gradients = Gradients(PROBLEMS[PROBLEM], estimators.get(ESTIMATOR), draws, device=given.device, dtype=torch.float32)
    replicates = replicates_per_chunk(gradients)
    for _ in range(3):
        gradients(replicates)
    there = {ProfilerActivity.CPU, ProfilerActivity.CUDA} & torch.profiler.supported_activities()
    with profile(activities=sorted(there, key=str)) as found, record_function(f"{ESTIMATOR}: {replicates} replicates"):
        gradients(replicates)
        if torch.device(given.device).type == "cuda":
            torch.cuda.synchronize()
    written(given.out / "trace.json.gz", lambda new: found.export_chrome_trace(str(new)))
    by_time = "self_cuda_time_total" if torch.device(given.device).type == "cuda" else "self_cpu_time_total"
    print(found.key_averages().table(sort_by=by_time, row_limit=15))


if __name__ == "__main__":
    main()
