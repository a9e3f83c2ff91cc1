"""What a worker sets up before its first cell."""

import os
from unittest.mock import patch

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from bench.sweeps.worker import single_threaded


def test_linear_algebra_has_one_thread_whatever_the_environment_says():
    threads = torch.get_num_threads()
    with threadpool_limits(2), patch.dict(os.environ):  # both are restored
        torch.set_num_threads(2)
        single_threaded()
        assert {each["num_threads"] for each in threadpool_info()} == {1} and torch.get_num_threads() == 1
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    torch.set_num_threads(threads)
