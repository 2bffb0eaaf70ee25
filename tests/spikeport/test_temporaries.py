"""What a killed process was writing is swept away by the next one; what somebody is writing is not."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from spikeport import temporaries
from spikeport.files import atomic_path
from spikeport.pipeline.run.run_folder import locked
from spikeport.temporaries import drop, scratch, sweep_temporaries, temporary_file, temporary_folder

# Begins three files (two of them named by their folder), says so, and waits.
WRITER = """
import pathlib, sys, time
from spikeport.files import atomic_folder, atomic_path
folder = pathlib.Path(sys.argv[1])
with atomic_path(folder / "a.nir") as a, atomic_path(folder / "checkpoints" / "teacher" / "b.safetensors"), \\
        atomic_folder(folder / "out") as out:
    a.write_text("half"); (out / "report.md").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def left(folder):
    return [path for path in folder.rglob(".spikeport-*") if not path.parent.name.startswith(".spikeport-")]


def test_a_killed_writer_is_swept_when_the_folder_is_locked_again(tmp_path, writer):
    (tmp_path / ".spikeport-notes").write_text("mine")
    (tmp_path / ".student-abcd.nir").write_text("mine")
    assert len(left(tmp_path)) == 3 + 1
    with locked(tmp_path):
        assert len(left(tmp_path)) == 3 + 1  # it writes still
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with locked(tmp_path):
        assert left(tmp_path) == [tmp_path / ".spikeport-notes"]
    assert (tmp_path / ".student-abcd.nir").read_text() == "mine"


def test_scratch_of_a_killed_process_is_swept_by_the_next_one(tmp_path):
    code = """if 1:
        import time
        from spikeport.temporaries import scratch
        with scratch() as folder:
            (folder / "student.onnx").write_text("half")
            print(folder, flush=True)
            time.sleep(600)
    """
    env = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    folder = pathlib.Path(process.stdout.readline().strip())
    assert (folder.parent, [file.name for file in folder.iterdir()]) == (tmp_path, ["student.onnx"])
    process.kill()
    process.wait()
    process.stdout.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        with scratch() as own:
            assert list(tmp_path.iterdir()) == [own]
    assert list(tmp_path.iterdir()) == []


def test_what_this_process_writes_stays_and_what_its_number_left_goes(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        before = temporary.with_name(temporary.name + "x")
        before.write_text("an earlier process of this number")
        sweep_temporaries(tmp_path)
        assert temporary.exists()
        assert not before.exists()
        temporary.write_text("a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_another_machines_files_stay_for_a_day(tmp_path, monkeypatch):
    with monkeypatch.context() as there:
        there.setattr(temporaries, "_machine", lambda: "0123abcd")
        file, folder = temporary_file(tmp_path, ".nir"), temporary_folder(tmp_path)
    temporaries._ours.clear()
    sweep_temporaries(tmp_path)
    assert file.exists()
    assert folder.exists()
    long_ago = time.time() - 90_000
    os.utime(file, (long_ago, long_ago))
    sweep_temporaries(tmp_path)
    assert not file.exists()
    assert folder.exists()
    drop(folder)
    assert not folder.exists()


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("kept")
    name = temporary_file(tmp_path).name + "-link"
    (tmp_path / name).symlink_to(tmp_path / "mine")
    sweep_temporaries(tmp_path)
    assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "mine" / "a").read_text() == "kept"
