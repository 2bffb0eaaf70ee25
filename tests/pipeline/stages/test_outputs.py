"""No verb writes over what it reads, over a run's file, or over a file that no such verb has written."""

from __future__ import annotations

import json
import os
import shutil

import nir
import pytest
from cli_inputs import one_line, small_graph
from finished_folder import finished_folder

from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.spike_trace import load_trace
from spikeport.pipeline.stages.outputs import is_picture

ASSUMPTIONS = ("--dt", "1e-3", "--reset", "zero")


def contents(folder):
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"cache", ".lock"} & set(path.parts)
    }


def refuses(spikeport, tmp_path, words, *message):
    """The command leaves with 2 and one line, and every file is as it was."""
    before = contents(tmp_path)
    code, _, err = spikeport(*words)
    assert code == 2
    for word in message:
        assert word in one_line(err)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("which", ["net", "input"])
@pytest.mark.parametrize(
    "way", ["itself", "another spelling", "through a folder to be made", "symbolic link", "hard link"]
)
def test_a_simulation_keeps_its_network_and_its_frames(spikeport, net, frames, tmp_path, which, way):
    read = net if which == "net" else frames
    out = tmp_path / "out.npz"
    if way == "itself":
        out = read
    elif way == "another spelling":
        out = f"../{tmp_path.name}/./{read.name}"
    elif way == "through a folder to be made":
        out = f"new/../{read.name}"
    elif way == "symbolic link":
        out.symlink_to(read)
    else:
        os.link(read, out)
    refuses(spikeport, tmp_path, ("simulate", net, "--input", frames, "--out", out), "the file that is read", "--out")
    assert read_netx(net).layers


@pytest.mark.parametrize("kind", ["text", "frames", "empty", "folder", "link to nothing", "pipe"])
def test_a_simulation_writes_over_traces_only(spikeport, net, frames, tmp_path, kind):
    out = tmp_path / "out.npz"
    if kind == "folder":
        out.mkdir()
    elif kind == "link to nothing":
        out.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(out)
    elif kind == "frames":
        shutil.copyfile(frames, out)
    else:
        out.write_text("mine" if kind == "text" else "")
    refuses(spikeport, tmp_path, ("simulate", net, "--input", frames, "--out", out, "-q"), "is not a spike trace")


def test_a_trace_is_replaced_by_a_later_one(spikeport, net, frames, tmp_path):
    for samples in (4, 2):
        words = ("simulate", net, "--input", frames, "--out", "trace.npz", "--samples", samples, "-q")
        assert spikeport(*words)[0] == 0
        assert len(load_trace(tmp_path / "trace.npz").spikes) == samples


def test_an_export_keeps_what_others_wrote(spikeport, tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    (tmp_path / "made").mkdir()
    for name in ("g.nir", "g.nir.json", "g.net", "g.quantization.json"):
        other = tmp_path / "made" / name
        if name == "g.nir":
            nir.write(other, small_graph())
        else:
            other.write_text('{"mine": 1}')
        refuses(
            spikeport, tmp_path, ("export", "g.nir", *ASSUMPTIONS, "--out", "made"), name, "is not an earlier export"
        )
        other.unlink()
    for _ in range(2):  # its own it may
        assert spikeport("export", "g.nir", *ASSUMPTIONS, "--out", "made")[0] == 0
    assert spikeport("export", "g.nir", *ASSUMPTIONS)[0] == 0  # beside its source
    assert spikeport("export", "g.nir", *ASSUMPTIONS)[0] == 0
    assert spikeport("export", "made/g.net", "--out", ".")[0] == 0


def test_another_makers_net_is_kept(spikeport, net, tmp_path):
    """lava-dl writes no names: that is how its files are told from ours."""
    import h5py

    (tmp_path / "made").mkdir()
    with h5py.File(tmp_path / "made" / "a.net", "w") as file:
        file.create_group("layer/0")["type"] = b"dense"
    refuses(spikeport, tmp_path, ("export", net, "--out", "made"), "a.net", "is not an earlier export")


def test_a_page_is_written_over_pages_only(spikeport, net, frames, tmp_path):
    words = ("profile", net, "--input", frames, "--hardware", "loihi2", "-q", "--out", "page")
    (tmp_path / "page").mkdir()
    for name, text in (("report.md", "mine"), ("report.json", '{"schema": "mine"}'), ("samples.csv", "mine")):
        (tmp_path / "page" / name).write_text(text)
        refuses(spikeport, tmp_path, words, "holds files that are not a report")
        refuses(spikeport, tmp_path, (*words[:-1], "new/../page"), "holds files that are not a report")
        (tmp_path / "page" / name).unlink()
    for _ in range(2):
        assert spikeport(*words)[0] == 0


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return finished_folder(tmp_path, "run", seed=1)


def test_a_runs_files_are_no_place_for_results(spikeport, net, frames, run, tmp_path):
    (tmp_path / "b").mkdir()
    write_netx(read_netx(net), tmp_path / "b" / "student.net")
    for words in (
        ("simulate", net, "--input", frames, "--out", run / "trace.npz", "-q"),
        ("export", "b/student.net", "--out", run),
        ("profile", net, "--input", frames, "--out", run),
        ("compare", run, run, "--out", run),
        ("report", run, "--out", run),
    ):
        refuses(spikeport, tmp_path, words, "belongs to a run" if words[0] in ("simulate", "export") else "holds files")


def test_a_runs_export_keeps_what_others_wrote(spikeport, run, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "test-frames.npz").write_text("mine")
    refuses(spikeport, tmp_path, ("export", run, "--out", "made"), "test-frames.npz", "is not an earlier export")
    (tmp_path / "made" / "test-frames.npz").unlink()
    for _ in range(2):
        assert spikeport("export", run, "--out", "made")[0] == 0
    assert spikeport("export", run, "--out", run)[0] == 0


def test_comparisons_are_written_over_comparisons_only(spikeport, run, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "compare.md").write_text("mine")
    two = finished_folder(tmp_path, "two", seed=2)
    refuses(spikeport, tmp_path, ("compare", run, two, "--out", "c"), "files that are not a comparison")
    (tmp_path / "c" / "compare.md").unlink()
    for _ in range(2):
        assert spikeport("compare", run, two, "--out", "c", "-q")[0] == 0
    assert json.loads((tmp_path / "c" / "compare.json").read_text())["runs"]


def test_previews_are_written_over_previews_only(spikeport, run, tmp_path):
    words = ("data", "preview", run / "recipe.toml", "--out")
    refuses(spikeport, tmp_path, (*words, run / "recipe.toml"), "the file that is read")
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n of my own")
    refuses(spikeport, tmp_path, (*words, picture), "is not a preview")
    picture.unlink()
    for _ in range(2):
        assert spikeport(*words, picture)[0] == 0
        assert is_picture(picture)


@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_a_recipe_is_not_replaced_by_its_own_run(spikeport, tmp_path, verb):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.toml").write_text('name = "mine" # and my notes\n')
    refuses(spikeport, tmp_path, (verb, "mine/recipe.toml", "--out", "mine"), "files that are no")


def test_an_export_is_there_whole_or_not_at_all(spikeport, tmp_path, monkeypatch):
    from spikeport.export.formats.netx import write as netx

    def full(*_):
        raise OSError(28, "No space left on device")

    nir.write(tmp_path / "g.nir", small_graph())
    with monkeypatch.context() as patched:
        patched.setattr(netx, "_write", full)
        refuses(spikeport, tmp_path, ("export", "g.nir", *ASSUMPTIONS, "--out", "made"), "made", "No space left")
        refuses(spikeport, tmp_path, ("export", "g.nir", *ASSUMPTIONS), "No space left")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["g.nir"]
    assert spikeport("export", "g.nir", *ASSUMPTIONS, "--out", "made")[0] == 0
    assert len(list((tmp_path / "made").iterdir())) == 4
