"""A few hostile inputs of every kind before the whole command; `benchmarks/robustness.py` has all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_inputs import event_files, warm
from robustness import Totals, all_cases, table

from spikeport.errors import MissingDependencyError
from spikeport.pipeline.data.readers.recordings import READERS, read_events

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


KINDS = ("recordings", "images", "idx", "archives", "frames", "labels", "recipes")  # and "runs", which first makes one
SOME = ["--every", "17", *(word for kind in KINDS for word in ("--only", kind))]


def test_there_are_five_hundred_and_no_two_have_one_name(tmp_path):
    cases = all_cases(tmp_path)
    assert len({(case.kind, case.name) for case in cases}) == len(cases) >= 500
    assert {case.kind for case in cases} >= {
        "recordings",
        "images",
        "idx",
        "labels",
        "frames",
        "recipes",
        "archives",
        "runs",
    }


@pytest.mark.parametrize("extension", READERS)
def test_what_is_damaged_was_sound(extension, tmp_path):
    """The file that each mutant comes from is read as it was meant. (Which way up a chip stood is tested elsewhere.)"""

    events = event_files.some_events(np.random.default_rng(4))
    (tmp_path / f"a{extension}").write_bytes(event_files.as_file(extension, events))
    try:
        found = read_events(tmp_path / f"a{extension}")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    for name in ("t", "p", *(("x", "y") if extension != ".aedat" else ())):
        np.testing.assert_array_equal(found[name], events[name], err_msg=name)


def test_some_of_every_kind_leave_with_0_2_or_3(tmp_path):
    """Processes of their own, forked by one that has imported no more than the command."""
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / "robustness.py"), "--keep", str(tmp_path), *SOME],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[0].startswith("section")
    assert "VIOLATION" not in ran.stdout
    tried = [int(line.split()[1].replace(",", "")) for line in ran.stdout.splitlines()[1 : len(KINDS) + 1]]
    assert min(tried) >= 3
    assert sum(tried) >= 60


PLANTED = r"""
import os, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from hostile_inputs import warm
from hostile_inputs.cases import Case

def escape():
    (Path.cwd().parent / "escaped").write_text("x")

def change():
    Path("mine").write_text("changed")

def linger():
    if not os.fork():
        time.sleep(3600)

def crash():
    raise KeyError("planted")

PLANTS = {
    "nothing": lambda: None, "crash": crash, "check failed": lambda: sys.exit(1), "silence": lambda: sys.exit(2),
    "hang": lambda: time.sleep(3600), "memory": lambda: bytearray(1100 << 20), "escape": escape, "change": change,
    "linger": linger, "steer": lambda: print("\x1b[31m"), "bytes": lambda: os.write(1, b"\xff"),
    "temporary": lambda: Path(os.environ["TMPDIR"], "left").write_text("x"),
}

def build(folder, rng):
    (folder / "mine").write_text("x")
    return ["hardware", "list"]

import spikeport.pipeline.cli.app
for name, plant in PLANTS.items():
    _, found = warm.try_case(Case("test", name, build, (), plant), 1, Path(sys.argv[3]) / "case", 6.0)
    print(name, "->", *found)
"""


def test_what_a_command_may_not_do_is_seen(tmp_path):
    """Each fault planted into a process of the command is found, and none where nothing was planted."""
    ran = subprocess.run(
        [sys.executable, "-c", PLANTED, str(BENCHMARKS), str(BENCHMARKS.parent), str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = dict(line.split(" ->", 1) for line in ran.stdout.splitlines())
    assert found.pop("nothing") == ""
    words = {
        "crash": "traceback: KeyError: 'planted'", "check failed": "exit code 1", "silence": "without one line",
        "hang": "hang: no end after 6 s", "memory": "memory: ", "escape": "['escaped']", "change": "['work/mine']",
        "linger": "1 processes left", "steer": "control characters", "bytes": "not UTF-8", "temporary": "['left']",
    }  # fmt: skip
    assert found.keys() == words.keys()
    for name, word in words.items():
        assert word in found[name], f"{name}: {found[name]}"


def test_a_table_adds_the_parts():
    first, second = Totals(), Totals()
    first.count("a", warm.ProcessResult(2, b"", b"", 3.0, 100), [])
    second.count("b", warm.ProcessResult(1, b"", b"", 1.0, 1500), ["traceback: x", "memory: 1500 MiB"])
    first.add(vars(second))
    assert (first.inputs, first.tracebacks, first.over_memory, first.hangs, first.others) == (2, 1, 1, 0, 0)
    assert (first.slowest_s, first.peak_mib, first.codes) == (3.0, 1500, {"2": 1, "1": 1})
    assert table({"x": first})[-1] == "VIOLATION b: traceback: x; memory: 1500 MiB"
