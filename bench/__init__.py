"""The benchmark suite: distributions, objectives, exact gradients, measuring, sweeps, tables, reports."""
