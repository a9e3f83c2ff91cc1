"""What a worker imports, for the process that `forked_workers` forks from; nothing is computed in it."""

import torch._dynamo
import torch._functorch.apis

import bench.sweeps.worker

LOADED = (torch._functorch.apis, torch._dynamo, bench.sweeps.worker)
