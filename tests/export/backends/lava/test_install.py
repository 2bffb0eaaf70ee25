"""Lava's environment is made by one process at a time, and used when it is whole only. What pip does, a script does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.lava import environment
from spikeport.locks import held

# In place of venv and pip: notes that it was called, and waits for the file `go`.
STAND_IN = """
import pathlib, sys, time
root = pathlib.Path(sys.argv[1])
(root / "env").mkdir(exist_ok=True)
(root / "env" / "half").touch()
with open(root / "calls", "a") as calls:
    print(sys.argv[2], file=calls)
while not (root / "go").exists():
    time.sleep(0.01)
"""
INSTALL = """
import pathlib, sys
from spikeport.export.backends.lava import environment
root, script = pathlib.Path(sys.argv[1]), sys.argv[2]
real = environment._call
environment._call = lambda command, what, lock: real([sys.executable, "-c", script, str(root), what], what, lock)
print(environment.install(root / "env", log=lambda text: print(text, flush=True)))
"""


@pytest.fixture
def install(tmp_path):
    started = []

    def start():
        words = [sys.executable, "-c", INSTALL, str(tmp_path), STAND_IN]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield start
    (tmp_path / "go").touch()
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []


def until(condition, process):
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)


WHOLE = ["the virtual environment", "what Lava needs", "Lava"]


def test_the_second_waits_for_the_first_and_takes_what_it_made(tmp_path, install):
    first = install()
    until(lambda: calls(tmp_path) == WHOLE[:1], first)
    second = install()
    assert second.stdout.readline() == f"another spikeport makes {tmp_path / 'env'}; waiting for it\n"
    assert not (tmp_path / "env" / environment._DONE).exists()
    (tmp_path / "go").touch()
    python = str(tmp_path / "env" / "bin" / "python")
    assert first.communicate()[0].splitlines()[-1] == python
    reported = second.communicate()[0].splitlines()
    assert "is already installed" in reported[0]
    assert reported[1] == python
    assert (first.returncode, second.returncode) == (0, 0)
    assert calls(tmp_path) == WHOLE


def test_what_a_killed_one_left_is_made_anew_and_used_by_nobody(tmp_path, install, monkeypatch):
    first = install()
    until(lambda: calls(tmp_path) == WHOLE[:1], first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "default_folder", lambda: tmp_path / "env")
    with pytest.raises(MissingDependencyError, match="spikeport lava install"):
        environment.interpreter()
    (tmp_path / "env" / "of the first").touch()
    (tmp_path / "go").touch()
    second = install()
    assert second.wait() == 0
    assert not (tmp_path / "env" / "of the first").exists()
    assert environment.interpreter() == tmp_path / "env" / "bin" / "python"


def test_a_pip_that_outlives_its_installer_is_waited_for(tmp_path, install):
    first = install()
    until(lambda: calls(tmp_path) == WHOLE[:1], first)
    first.kill()  # alone: what it started goes on
    first.wait()
    second = install()
    assert "waiting for it" in second.stdout.readline()
    assert calls(tmp_path) == WHOLE[:1]
    (tmp_path / "go").touch()
    assert second.wait() == 0
    assert calls(tmp_path) == [*WHOLE[:1], *WHOLE]


def test_lava_itself_is_taken_by_its_hashes():
    """Two wheels of an archived project: nothing else may come under their names."""
    pins = Path(environment.__file__).with_name("lava.txt").read_text()
    found = re.findall(r"^(lava-\w+)==(\S+) --hash=sha256:[0-9a-f]{64}$", pins, re.MULTILINE)
    assert found == [("lava-nc", environment.LAVA_NC), ("lava-dl", environment.LAVA_DL)]


def test_a_failure_is_one_line_and_leaves_no_mark(tmp_path):
    script = "import sys; print('no space', file=sys.stderr); sys.exit(1)"
    with held(tmp_path / "lock", busy=lambda: UserError("busy")) as lock:
        with pytest.raises(UserError, match="could not install Lava: no space"):
            environment._call([sys.executable, "-c", script], "Lava", lock)
        code = "import pathlib\nfrom spikeport.locks import held\n"
        code += f"with held(pathlib.Path({str(tmp_path / 'lock')!r}), busy="
        code += "lambda: ValueError('it is held')): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "it is held" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
