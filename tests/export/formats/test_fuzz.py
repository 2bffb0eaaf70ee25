"""A few hundred damaged files of every kind; `benchmarks/fuzz.py` does many more."""

import shutil
import subprocess
import sys
from pathlib import Path

import fuzz
import fuzz_checks
import pytest
from fuzz_files import bases, mutant

from spikeport.errors import UserError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return bases(tmp_path_factory.mktemp("bases"), Path("nowhere"))


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_sound_files_load(files, tmp_path, kind):
    """The checks themselves accept what is not damaged."""
    for path in files[kind]:
        if kind == "nir":  # without its metadata, as the damaged ones are
            path = Path(shutil.copyfile(path, tmp_path / path.name))
        fuzz_checks.CHECKS[kind](path)


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_files_load_or_are_refused(files, tmp_path, kind):
    outcomes = set()
    for index in range(60):
        outcome, message, _ = fuzz.judge(kind, index, 11, tmp_path, files)
        assert outcome != "violation", f"{kind}:{index} {message}"
        outcomes.add(outcome)
    assert outcomes == {"loads", "refused"}


def test_damaged_files_are_read_by_the_conventions_of_frameworks(files, tmp_path):
    outcomes = [fuzz.judge("framework", index, 11, tmp_path, files)[:2] for index in range(60)]
    assert not [message for outcome, message in outcomes if outcome == "violation"]
    assert {outcome for outcome, _ in outcomes} == {"loads", "refused"}


def test_the_same_seed_gives_the_same_file(files, tmp_path):
    mutant("frames", 8, 3, files, tmp_path / "a.npz")
    mutant("frames", 8, 3, files, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_reader_that_fails_is_a_violation(files, tmp_path, monkeypatch):
    monkeypatch.setitem(fuzz.JUDGES, "net", lambda path: {}["no such key"])
    outcome, message, _ = fuzz.judge("net", 1, 1, tmp_path, files)
    assert (outcome, message) == ("violation", "KeyError: 'no such key'")


def test_the_command_counts_every_file(tmp_path):
    """Two processes, every kind, their shares together, and the exit code of a run without violations."""
    files = len(fuzz.CYCLE)
    ran = subprocess.run(
        [sys.executable, fuzz.__file__, "--files", str(files), "--seed", "2", "--data", str(tmp_path)],
        capture_output=True, text=True, timeout=3600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{files} damaged files" in ran.stdout
    assert ran.stdout.count(" 0 violations") == len(fuzz.JUDGES)


def test_a_message_steers_no_terminal():
    """Names come from files; what they hold is shown, not sent."""
    assert str(UserError("node 'a\x1b[31m\x01b\n c'")) == r"node 'a\x1b[31m\x01b c'"
