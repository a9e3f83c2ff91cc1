"""What tests do in processes of their own; nothing heavy is imported, so that each starts at once."""

import ctypes
import gc
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.system.optional import limit_memory


def action(task, say):
    """Does what the task's name says, with its arguments; some tell something first."""
    name, *arguments = task
    return globals()[name](say, *arguments)


def start(harm=None):
    """A fresh process; `harm` is done before it is ready."""
    if harm:
        globals()[harm](None)
    return action


def pid(say):
    return os.getpid()


def count(say, most):
    for number in range(most):
        say(number)
    return most


def wrong(say):
    raise ValueError("no such thing")


def leaves(say, code=0):
    os._exit(code)


def crashes(say):
    ctypes.string_at(0)


def greedy(say):
    return len(bytearray(2**33))


def aborts_for_memory(say):
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os._exit(134)


def unsendable(say):
    return lambda: None


def hangs(say):
    say("hangs")
    time.sleep(1000)


def sleeper(say, then, *more):
    """Starts a process that outlives this one unless it is killed, says its number, and goes on."""
    say(subprocess.Popen(["sleep", "301"]).pid)
    return globals()[then](say, *more)


def prints(say, text):
    """By Python, and by a program that it starts; then it dies."""
    print(text, flush=True)
    subprocess.run([sys.executable, "-S", "-c", f"print('inner ' + {text!r})"], check=True)
    os._exit(3)


def chatters(say):
    """Prints without an end."""
    say("chatters")
    while True:
        os.write(1, b"x" * 4096)


def allowed(most, hard):
    """What a limit of memory comes to where the system allows `hard` bytes."""
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    limit_memory(most)
    return resource.getrlimit(resource.RLIMIT_DATA)


def holds(device):
    """A start: holds the device's lock for as long as its process lives."""
    from bench.measure.timing.lock import alone

    held = alone(device)
    held.__enter__()
    return lambda task, say: held and True


def heavy():
    """What is imported of what takes long, and whether garbage is collected."""
    return sorted({"torch", "numpy", "pandas", "scipy"} & {*sys.modules}), gc.isenabled()


def reads(path):
    return Path(path).read_text(encoding="utf-8")


def forks(say):
    """Both processes go on: the second answer is nobody's."""
    os.fork()
    return os.getpid()


def garbles(say):
    """Writes into every pipe and socket that is open."""
    for number in range(3, 64):
        try:
            os.write(number, b"garbage")
        except OSError:
            continue
    return "answer"


def daemon(say, program, then, *more):
    """Starts a process with its own session, without its parent and its files, says its number, and goes on.

    `program`: it becomes another program, with an empty environment.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            os.closerange(0, 4096)
            if program:
                os.execve("/bin/sleep", ["sleep", "301"], {})
            time.sleep(301)
        os._exit(0)
    say(int(os.read(reading, 20)))
    return globals()[then](say, *more)


def exits(say):
    sys.exit(0)
