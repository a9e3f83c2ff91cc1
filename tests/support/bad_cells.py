"""A plug-in whose cells misbehave in the way `kind` names, once per process, and are REINFORCE otherwise."""

import ctypes
import gc
import importlib.abc
import io
import locale
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace

import torch

from bench.isolation.child import Channel
from bench.isolation.endings import Returned
from bench.suites.cell import Cell
from bench.sweeps.cell_record import ended, record
from bench.sweeps.worker import WindowResult
from estimators import Need, Traits, register
from estimators.registry import estimators
from estimators.score_function import Reinforce, ScoreFunction

DONE, KEPT = set(), []


def half_a_character():
    raise ValueError("bad \ud800 text")


def no_text():
    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise SilentError


def colour():
    raise RuntimeError("first \x1b[31mline\nsecond line \x1b[0m")


def long_text():
    raise RuntimeError("x" * 10**7)


def unpicklable():
    raise type("LocalError", (Exception,), {"held": lambda self: None})("held")


def leaves_by_exit():
    sys.exit(0)


def interrupts():
    raise KeyboardInterrupt


def generator_exit():
    raise GeneratorExit


def recursion():
    recursion()


def dies():
    os._exit(0)


def segfaults():
    ctypes.string_at(0)


def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def aborts():
    os.abort()


def hangs():
    time.sleep(1000)


def keeps_memory():
    while True:
        KEPT.append(torch.empty(2**28, dtype=torch.uint8))


def fork_goes_on():
    os.fork()


def fork_raises():
    if os.fork() == 0:
        raise RuntimeError("the child failed")


def fork_by_c():
    ctypes.CDLL(None).fork()


def starts_a_program():
    KEPT.append(subprocess.Popen(["sleep", "301"]))


def starts_a_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(301)
        os._exit(0)


def thread_draws():
    def draws():
        return [(torch.randn(100), time.sleep(0.0005)) for _ in range(10**9)]

    threading.Thread(target=draws, daemon=True).start()


def thread_exits():
    threading.Thread(target=lambda: (time.sleep(1), os._exit(3)), daemon=True).start()


def alarm():
    signal.alarm(2)


def ticks():
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)


def default_device():
    torch.set_default_device("meta")


def default_dtype():
    torch.set_default_dtype(torch.float16)


def patches_reinforce():
    Reinforce.coefficient = lambda self, value: 2 * value


def patches_code():
    Reinforce.coefficient.__code__ = (lambda self, value: 2 * value).__code__


def patches_inherited():
    setattr(Reinforce, "draw", lambda self, q, n: q.sample((n,)))  # noqa: B010


def patches_torch():
    torch.exp = torch.log


def patches_tensor():
    torch.Tensor.mean = torch.Tensor.sum


def patches_clock():
    time.perf_counter = lambda: 0.0


def patches_registry():
    estimators._classes["rloo"] = Reinforce


def validates_no_more():
    torch.distributions.Distribution.set_default_validate_args(False)


def imprecise():
    torch.set_float32_matmul_precision("medium")


def flushes_denormal():
    torch.set_flush_denormal(True)


def rounds_up():
    ctypes.CDLL("libm.so.6").fesetround(0x800)


def autocasts():
    torch.set_autocast_enabled("cpu", True)


def watches_functions():
    torch.overrides.BaseTorchFunctionMode().__enter__()


def anomalies():
    torch.autograd.set_detect_anomaly(True)


def hooks_tensors():
    torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: 2 * x).__enter__()


def hooks_modules():
    torch.nn.modules.module.register_module_forward_hook(lambda *given: None)


def environment():
    os.environ["OMP_NUM_THREADS"] = "7"


def elsewhere():
    os.chdir("/")


def nowhere():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def opens():
    KEPT.append(os.open("/dev/zero", os.O_RDONLY))


def closes_input():
    os.close(0)


def closes_everything():
    os.closerange(3, 4096)


def other_output():
    sys.stdout = io.StringIO()


def handles():
    signal.signal(signal.SIGUSR1, lambda *given: None)


def blocks():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])


def umask():
    os.umask(0o111)


def limits():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def nice():
    os.nice(1)


def recursion_limit():
    sys.setrecursionlimit(300)


def no_collection():
    gc.disable()


def traces():
    sys.settrace(lambda *given: None)


def imports():
    sys.meta_path.insert(0, importlib.abc.MetaPathFinder())


def other_locale():
    locale.setlocale(locale.LC_ALL, "C" if locale.setlocale(locale.LC_ALL) != "C" else "C.UTF-8")


def prints():
    os.write(1, b"noise\x1b[2J" * 20_000)


def _channel():
    return next(each for each in gc.get_objects() if isinstance(each, Channel))


def garbage():
    os.write(_channel().connection.fileno(), random.Random(0).randbytes(1000))


def half_a_frame():
    os.write(_channel().connection.fileno(), _channel().token[:9])


def no_answer():
    _channel().tell(pickle.dumps(Returned([])))


def two_answers():
    _channel().tell(pickle.dumps(Returned(WindowResult([]))))
    _channel().tell(b"no pickle")


def anothers_answer():
    """Answers with a record of another cell that is right in all else."""
    cell = next(each for each in gc.get_objects() if isinstance(each, Cell))
    other = replace(cell, samples=cell.samples + 1)
    found = record(other, "accuracy", ended("failed", "made up"), 0.0)
    _channel().tell(pickle.dumps(Returned(WindowResult([found]))))


@register("bad")
@dataclass(frozen=True)
class Bad(ScoreFunction):
    """See the module."""

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), paper="ours")
    kind: str = "none"

    def coefficient(self, value):
        if self.kind not in DONE and self.kind != "none":
            DONE.add(self.kind)
            globals()[self.kind]()
        return value
