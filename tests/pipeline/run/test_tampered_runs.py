"""Run folders whose manifest, weights or checkpoints were changed: one line that names the file and the remedy."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_inputs import one_line
from finished_folder import finished_runs
from safetensors.torch import save_file
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.run.run_folder import create, open_run
from spikeport.pipeline.run.tensor_files import load_weights, read_tree, save_weights, write_tree


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_runs(tmp_path_factory, "one")


@pytest.fixture
def one(runs: Path, tmp_path: Path) -> Path:
    """A finished run, to be spoilt."""
    return Path(shutil.copytree(runs / "one", tmp_path / "one"))


def changed(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((run / MANIFEST).read_text())
    change(manifest)
    (run / MANIFEST).write_text(json.dumps(manifest))


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        at = manifest
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


def dropped(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        at = manifest
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]

    return change


VERBS = [("report", "one"), ("check", "one"), ("compare", "one", "one2"), ("export", "one", "--out", "exported"),
         ("profile", "one")]  # fmt: skip


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "change",
    [
        put("stages", "profile", value="text"),
        put("stages", "export", "files", value=["student.nir"]),
        put("stages", "data", "files", value={"a": 3}),
        put("stages", "simulate", "result", value=[]),
        dropped("stages", "report", "seconds"),
        dropped("stages", "report", "files"),
        put("stages", value=[]),
        put("about", value=7),
        dropped("about"),
        dropped("schema"),
    ],
)
def test_a_manifest_of_another_form_is_named_with_the_remedy(spikeport, one, change, words) -> None:
    changed(one, change)
    shutil.copytree(one, one.with_name("one2"))
    code, _, err = spikeport(*words)
    assert code == 2
    line = one_line(err)
    assert "manifest.json is damaged" in line
    assert "Hint: make the run again in a new folder" in line


@pytest.mark.parametrize(
    "text", ['{"a":' * 100_000 + "1" + "}" * 100_000, "[" * 100_000, "", "[]", "\x00", "{", '"text"', "1e999999", "nan"]
)
def test_a_manifest_that_is_none_is_named(spikeport, one, text: str) -> None:
    (one / MANIFEST).write_text(text)
    code, _, err = spikeport("report", "one")
    assert (code, "manifest.json is damaged" in one_line(err)) == (2, True)


@pytest.mark.parametrize("stage", ["data", "profile", "simulate", "check", "export"])
@pytest.mark.parametrize("value", [{}, {"layers": "text", "test_labels": 3, "predicted": {}}])
@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_what_fails_on_results_changed_by_hand_is_put_down_to_that(spikeport, one, stage, value, words) -> None:
    shutil.copytree(one, one.with_name("one2"))
    changed(one, put("stages", stage, "result", value=value))
    code, _, err = spikeport(*words)
    assert "Traceback" not in err
    assert code in (0, 1, 2)
    if code == 2 and "was changed since" in err:
        assert f"the entry of the stage '{stage}' was changed after the stage was finished" in one_line(err)
        assert f"spikeport run --from {stage}, or make the run again in a new folder" in err


def test_a_profile_of_nothing_is_put_down_to_the_change(spikeport, one) -> None:
    changed(one, put("stages", "profile", "result", value={}))
    code, _, err = spikeport("report", "one")
    assert (code, "the entry of the stage 'profile' was changed after" in one_line(err)) == (2, True)


def test_a_manifest_from_before_seals_is_read(runs: Path, one: Path) -> None:
    changed(one, lambda manifest: [entry.pop("sha256") for entry in manifest["stages"].values()])
    assert open_run(one).is_done("report")
    assert open_run(one).result("data") == open_run(runs / "one").result("data")


def test_a_seal_is_the_same_after_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spikeport import exits
    from spikeport.pipeline.run.recipe import Recipe

    run = create(tmp_path / "run", Recipe(), resume=False, about={})
    run.record("data", {"a": (1, 2.5e-17), "b": {3: None, 20: "ü", 4: True}}, (), 0.1234)
    seen: list[UserError] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exits, "note_changed_input", seen.append)
        open_run(tmp_path / "run")
        assert seen == []
        changed(tmp_path / "run", put("stages", "data", "seconds", value=5))
        open_run(tmp_path / "run")
    assert len(seen) == 1


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def header(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    values = json.loads(content[8 : 8 + size])
    change(values)
    text = json.dumps(values).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


TAMPERED: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-5]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"12345"),
    "empty": lambda file: file.write_bytes(b""),
    "a header of 2^63 bytes": lambda file: file.write_bytes(struct.pack("<Q", 2**63) + file.read_bytes()[8:]),
    "a header of noise": lambda file: file.write_bytes(struct.pack("<Q", 100) + bytes(range(200))),
    "another shape": lambda file: header(file, lambda h: h["0.weight"].update(shape=[3, 2])),
    "a huge shape": lambda file: header(file, lambda h: h["0.weight"].update(shape=[2**40, 2**40])),
    "offsets beyond": lambda file: header(file, lambda h: h["0.weight"].update(data_offsets=[0, 2**40])),
    "another type": lambda file: header(file, lambda h: h["0.weight"].update(dtype="I32")),
    "no type": lambda file: header(file, lambda h: h["0.weight"].update(dtype="X9")),
    "a tensor less": lambda file: save_file({"0.weight": torch.zeros(2, 3)}, file),
    "not a number": lambda file: save_file(network().state_dict() | {"0.bias": torch.tensor([1.0, torch.nan])}, file),
    "infinite": lambda file: save_file(network().state_dict() | {"0.bias": torch.tensor([1.0, torch.inf])}, file),
    "other types": lambda file: save_file({k: v.double() for k, v in network().state_dict().items()}, file),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampered_weights_are_one_line(tmp_path: Path, how: str) -> None:
    file = tmp_path / "student.safetensors"
    save_weights(network(), file)
    load_weights(network(), file)
    TAMPERED[how](file)
    with pytest.raises(UserError, match=r"student\.safetensors: ") as raised:
        load_weights(network(), file)
    assert "\n" not in str(raised.value)
    assert "Hint" in str(raised.value)


def checkpoint(file: Path) -> dict[str, Any]:
    tree = {"weights": {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(2.5, dtype=torch.bfloat16)}}
    tree |= {"identity": {"stage": "teacher", "epochs": 3}, "history": [(1, None)], 4: torch.zeros(0, 3)}
    write_tree(tree, file)
    return tree


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(bytes(content))


def test_every_bit_of_a_checkpoint_counts(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    checkpoint(file)
    whole = read_tree(file)
    for at in range(len(file.read_bytes())):
        checkpoint(file)
        flip(file, at)
        read = None
        with contextlib.suppress(UserError):
            read = read_tree(file)
        assert read is None or repr(read) == repr(whole)  # a blank of the header's may be another


@pytest.mark.parametrize("text", ["[" * 100_000, '{"__pairs__": 3}', '{"__pairs__": [[{"__pairs__": []}, 1]]}', "3 4"])
def test_a_checkpoint_whose_words_lie_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "checkpoint.safetensors"
    save_file({}, file, metadata={"spikeport": text})
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        read_tree(file)


def test_a_checkpoint_from_before_seals_is_read(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    checkpoint(file)
    header(file, lambda h: h["__metadata__"].pop("sha256"))
    assert read_tree(file)["identity"] == {"stage": "teacher", "epochs": 3}
