"""How the command ends: signals in every verb, imports included; memory that runs out; faults of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikeport import exits

ROOT = Path(__file__).parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def command(work: str, *, ignored: tuple[signal.Signals, ...] = (), verb: str = "run") -> subprocess.Popen:
    """A Python that does `work` (which prints a line when it has begun) as the command's main function would."""
    heard = "\n".join(f"signal.signal({number.value}, signal.SIG_{'IGN' if number in ignored else 'DFL'})"
                      for number in SIGNALS[1:])  # fmt: skip
    script = f"""
import os, signal, subprocess, sys, threading, time
signal.signal(signal.SIGINT, signal.{"SIG_IGN" if signal.SIGINT in ignored else "default_int_handler"})
{heard}
from spikeport import exits
def work():
    exits.set_verb({verb!r})
{"".join(f"    {line}" for line in work.splitlines(keepends=True))}
sys.exit(exits.exit_code_of(work))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


WAITS = "print('begun', flush=True)\ntime.sleep(600)\n"


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("verb", ["run", "train", "sweep", "simulate", "check"])
def test_a_signal_says_so_and_leaves_with_its_code(number: signal.Signals, verb: str) -> None:
    process = command(WAITS, verb=verb)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    hint = "; the same command with --resume continues from here" if verb in ("run", "train", "sweep") else ""
    assert err == f"stopped by {number.name}{hint}\n"


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_what_this_process_was_told_to_ignore_stays_ignored(number: signal.Signals) -> None:
    """nohup, and what a shell starts in the background."""
    process = command("print('begun', flush=True)\nsys.stdin.readline()\nprint('done')\n", ignored=(number,))
    process.stdout.readline()
    process.send_signal(number)
    process.send_signal(number)
    out, err = process.communicate("\n")
    assert (process.returncode, out, err) == (0, "done\n", "")


SWALLOWS = """
import importlib.abc, importlib.util
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == 'swallowing' else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        print('begun', flush=True)
        try:
            time.sleep(600)
        except BaseException:
            pass
sys.meta_path.insert(0, Finder())
import swallowing
time.sleep(600)
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_import_does_not_swallow_it(number: signal.Signals) -> None:
    process = command(SWALLOWS)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert err.startswith(f"stopped by {number.name}; ")


def test_a_signal_that_comes_twice_at_once_lets_the_work_end_in_order() -> None:
    """`timeout` sends it to the process and to its group."""
    work = (  # on a busy machine the second one comes late
        "exits.REPEAT_S = 600.0\ntry:\n    print('begun', flush=True)\n    time.sleep(600)\n"
        "finally:\n    os.kill(os.getpid(), 15)\n"
    )
    process = command(work + "    print('in order', flush=True)\n")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out, err.count("stopped by")) == (143, "in order\n", 1)


def test_what_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    work = "exits.GRACE_S = 0.1\ntry:\n    print('begun', flush=True)\n    time.sleep(600)\n"
    work += "finally:\n    time.sleep(600)\n"
    process = command(work)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert (process.returncode, err.count("stopped by SIGTERM")) == (143, 1)


def test_what_it_started_ends_when_it_is_killed() -> None:
    child = WAITS.replace("begun", "child").replace("\n", ";")
    inner = f"import time; from spikeport import exits; exits.exit_code_of(lambda: exec({child!r}))"
    starts = f"subprocess.Popen([sys.executable, '-c', {inner!r}], env={{**os.environ, **exits.child_environment()}})\n"
    process = command(starts + "time.sleep(600)\n")
    assert process.stdout.readline() == "child\n"
    process.kill()
    assert process.stdout.read() == ""  # it ends when the last who holds it has ended


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError('Unable to allocate 26.8 GiB')",
        "RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 800 bytes')",
        "OSError(12, 'Cannot allocate memory')",
        "RuntimeError('can\\'t start new thread')",
    ],
)
def test_memory_that_runs_out_is_one_line(error: str) -> None:
    process = command(f"raise {error}\n", verb="simulate")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: there is not enough memory: ")
    assert err.endswith("Hint: give a smaller --memory, such as 256M, or fewer --samples\n")
    assert err.count("\n") == 1


def test_a_fault_of_ours_shows_its_traceback_and_is_no_failed_check() -> None:
    process = command("raise ValueError('never thought of')\n")
    _, err = process.communicate()
    assert process.returncode == exits.OUR_BUG == 70
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: this is a fault of Spikeport, not yours (ValueError)")


def test_an_error_that_a_signal_caused_is_not_what_is_said() -> None:
    work = "try:\n    print('begun', flush=True)\n    time.sleep(600)\nfinally:\n    raise RuntimeError('pipe gone')\n"
    process = command(work)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate()
    assert process.returncode == 129
    assert err == "stopped by SIGHUP; the same command with --resume continues from here\n"
