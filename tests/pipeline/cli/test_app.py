"""The command: help without torch, one line for a mistake of the user, exit codes, no partial files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from cli_inputs import one_line, small_graph


@pytest.mark.parametrize(
    "module",
    [
        "spikeport.pipeline.cli.app",
        "spikeport.export.formats.netx.write",
        "spikeport.export.graph.spiking_graph",
        "spikeport.export.quantization.quantize",
    ],
)
def test_what_needs_no_torch_loads_none(module):
    heavy = "{'torch', 'lava', 'matplotlib', 'sklearn', 'tonic', 'pytorch_lightning'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_it_says_its_version(spikeport):
    from importlib.metadata import version

    assert spikeport("--version")[:2] == (0, f"spikeport {version('spikeport')}\n")


def test_help_names_every_verb(spikeport):
    code, out, _ = spikeport("--help")
    assert code == 0
    for verb in [
        "run",
        "train",
        "sweep",
        "export",
        "simulate",
        "check",
        "profile",
        "report",
        "compare",
        "recipe",
        "hardware",
        "data",
        "lava",
        "doctor",
    ]:
        assert f" {verb} " in out
        assert spikeport(verb, "--help")[0] == 0


def test_a_nir_file_becomes_a_net(spikeport, tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    code, out, _ = spikeport("export", "g.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made", "--json")
    assert code == 0
    result = json.loads(out)
    assert [Path(file).name for file in result["files"]] == ["g.nir", "g.net", "g.quantization.json"]
    assert all(Path(file).is_file() for file in result["files"])
    assert result["quantization"][0]["v_decay"] == 2048  # 4096 * dt / tau


def test_export_never_writes_over_its_source(spikeport, tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    before = (tmp_path / "g.nir").read_bytes()
    assert spikeport("export", "g.nir", "--dt", "1e-3", "--reset", "zero")[0] == 0
    assert (tmp_path / "g.nir").read_bytes() == before
    assert (tmp_path / "g-spikeport.nir").is_file()


def test_a_nir_file_without_assumptions_asks_for_it(spikeport, tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    code, _, err = spikeport("export", "g.nir", "--dt", "1e-3", "--out", "made")
    assert code == 2
    assert "--reset zero" in one_line(err)
    assert not (tmp_path / "made").exists()


def test_a_nir_file_with_a_max_pool(spikeport, tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    with h5py.File(tmp_path / "g.nir", "a") as file:
        del file["node/nodes/fc/type"]
        file["node/nodes/fc/type"] = "MaxPool2d"
    code, _, err = spikeport("export", "g.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made")
    assert code == 2
    assert "fc" in one_line(err)
    assert "MaxPool2d" in err
    assert not (tmp_path / "made").exists()


def test_a_nir_file_with_a_branch(spikeport, tmp_path):
    graph = small_graph()
    graph.nodes["skip"] = nir.Linear(np.ones((3, 5)))
    graph.edges += [("input", "skip"), ("skip", "lif")]
    nir.write(tmp_path / "g.nir", graph)
    code, out, err = spikeport("export", "g.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made")
    assert code == 0, err
    assert "fc+skip" in out  # the two weights become one layer
    assert (tmp_path / "made" / "g.net").is_file()


def test_a_net_is_simulated_and_kept(spikeport, net, frames, tmp_path):
    code, out, _ = spikeport("simulate", net, "--input", frames, "--out", "t.npz", "--json")
    assert code == 0
    result = json.loads(out)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as trace:
        assert trace["spikes"].shape == (4, 6, 3)
        assert trace["spikes"].sum() == result["output_spikes"] > 0
        assert trace["synops"].sum() == 4 * result["layers"][0]["synops_per_sample"]


def test_a_net_that_is_no_hdf5(spikeport, tmp_path, frames):
    (tmp_path / "x.net").write_text("weights")
    code, _, err = spikeport("simulate", "x.net", "--input", frames, "--out", "t.npz")
    assert code == 2
    assert "x.net: is not a readable HDF5 file" in one_line(err)
    assert not (tmp_path / "t.npz").exists()


def test_a_missing_lava_names_the_command(spikeport, net, frames, tmp_path, monkeypatch):
    monkeypatch.delenv("SPIKEPORT_LAVA_PYTHON", raising=False)
    monkeypatch.setattr("spikeport.export.backends.lava.environment.default_folder", lambda: tmp_path / "none")
    code, _, err = spikeport("simulate", net, "--input", frames, "--backend", "lava", "--out", "t.npz")
    assert code == 3
    assert "spikeport lava install" in one_line(err)
    assert not (tmp_path / "t.npz").exists()
    code, _, err = spikeport("run", "digits", "--out", "run")
    assert code == 3
    assert "spikeport lava install, or leave the comparison out" in one_line(err).replace("`", "")
    assert spikeport("lava", "info")[0] == 3


def test_a_net_is_profiled_without_a_run(spikeport, net, frames):
    code, out, _ = spikeport(
        "profile", net, "--input", frames, "--hardware", "loihi1", "--hardware", "loihi2", "--json"
    )
    assert code == 0
    loihi1, loihi2 = json.loads(out)["energy"]
    assert loihi1["dynamic_uj"]["low"] <= loihi1["dynamic_uj"]["nominal"] <= loihi1["dynamic_uj"]["high"]
    assert loihi2["dynamic_uj"] is None
    assert "synop" in loihi2["unknown_terms"]
    code, out, _ = spikeport("profile", net, "--input", frames)
    assert code == 0
    assert "unknown" in out


def test_a_run_that_is_none(spikeport, tmp_path):
    for verb in ("check", "report", "profile"):
        code, _, err = spikeport(verb, tmp_path)
        assert code == 2
        one_line(err)


def test_devices_are_listed_shown_and_validated(spikeport):
    code, out, _ = spikeport("hardware", "list", "--json")
    assert code == 0
    assert {"loihi1", "loihi2", "cmos45-fp32"} <= {next(iter(row.values())) for row in json.loads(out)}
    code, out, _ = spikeport("hardware", "show", "loihi1")
    assert code == 0
    assert "23.6" in out
    assert spikeport("hardware", "validate")[0] == 0
    code, _, err = spikeport("hardware", "show", "loihi3")
    assert code == 2
    assert "loihi1" in one_line(err)


def test_a_damaged_recording_names_the_file(spikeport, tmp_path):
    folder = class_folders(tmp_path)
    damaged = folder / "events" / "1" / "00003.bin"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    code, _, err = spikeport("run", "r.toml", "--set", "check.backends=[]", "--out", "run")
    assert code == 2
    assert "00003.bin" in one_line(err)
    assert not (tmp_path / "run" / "teacher.safetensors").exists()


def test_an_empty_class_is_named(spikeport, tmp_path):
    folder = class_folders(tmp_path)
    (folder / "events" / "7").mkdir()
    code, _, err = spikeport("run", "r.toml", "--set", "check.backends=[]", "--out", "run")
    assert code == 2
    assert "7" in one_line(err)


def class_folders(folder: Path) -> Path:
    """A recipe and a tiny set: two classes of N-MNIST files, images by class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in ("0", "1"):
        for kind in ("events", "images"):
            (folder / kind / label).mkdir(parents=True)
        for number in range(8):
            events = folder / "events" / label / f"{number:05}.bin"
            t = np.sort(rng.integers(0, 250_000, 40))
            x, y, p = rng.integers(0, 12, 40), rng.integers(0, 10, 40), rng.integers(0, 2, 40)
            words = np.stack([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255], axis=1).astype(np.uint8)
            events.write_bytes(words.tobytes())
            picture = rng.integers(0, 256, (10, 12), dtype=np.uint8)
            Image.fromarray(picture).save(folder / "images" / label / f"{number:05}.png")
    (folder / "r.toml").write_text(
        f"[data]\nsource = 'class-folders'\nroot = {str(folder)!r}\nevents = 'events'\nimages = 'images'\n"
        "height = 10\nwidth = 12\nvalidation = 4\ntest = 4\n"
    )
    return folder


@pytest.mark.parametrize(
    ("word", "gpus", "code", "reported"),
    [
        ("cdua", 0, 2, "--device: 'cdua' is not a device. Hint: use cpu, cuda, or cuda:N for the GPU N"),
        ("cuda:x", 0, 2, "'cuda:x' is not a device"),
        ("cuda:" + "9" * 5000, 2, 2, "is not a device"),
        ("cuda", 0, 3, "--device: torch finds no GPU. Hint: use cpu, or install"),
        ("cuda:2", 2, 2, "--device: GPU 2 does not exist. Hint: GPUs are numbered 0 to 1 here"),
    ],
)
def test_devices_that_are_not_there_are_one_line(spikeport, net, frames, monkeypatch, word, gpus, code, reported):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    left, _, err = spikeport("simulate", net, "--input", frames, "--device", word)
    assert left == code
    assert reported in one_line(err)


@pytest.mark.parametrize("megabytes", [150, 400, 600])
def test_a_narrow_memory_is_one_line_or_enough(net, frames, megabytes):
    """Between them the libraries would abort, spin or show tracebacks of their own."""
    resource = pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-m", "spikeport", "simulate", str(net), "--input", str(frames), "-q"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
        env={**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # each thread takes a stack of it
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)),
    )  # fmt: skip
    if megabytes == 600:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 2
        reported = (
            f"error: this process may take {megabytes} MiB of address space, and its libraries alone take 576 MiB"
        )
        assert done.stderr == f"{reported}. Hint: raise the limit (ulimit -v)\n"
