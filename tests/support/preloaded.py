"""What workers and commands import, for the process that they are forked from; nothing is computed in it."""

import pandas
import pyarrow.parquet
import torch._dynamo
import torch._functorch.apis

import bench.cli.main
import bench.sweeps.worker
import bench.tables.wide

LOADED = (
    bench.cli.main, bench.sweeps.worker, bench.tables.wide,
    pandas, pyarrow.parquet, torch._functorch.apis, torch._dynamo,
)  # fmt: skip
