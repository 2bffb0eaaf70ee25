"""Damaged run folders: every value of a manifest, weights files, and a checkpoint of an unfinished training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import _bytes

from hostile_inputs import small_run
from hostile_inputs.cases import Case

Change = Callable[[Path, np.random.Generator], object]
ODD: list[Any] = [None, True, -1, 2**70, 1e308, "x", "\x1b[31m\u202e", [], {}, [[]], [1, "a"], {"a": {}}, "../../mine",
                  "<script>", "0" * 9999]  # fmt: skip
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "cut short": b'{"schema": "spikeport-run/1", "stages": {',
    "no UTF-8": b'{"schema": "\xff"}',
    "100,000 lists deep": b'{"schema": "spikeport-run/1", "stages": ' + b"[" * 100_000,
    "100,000 objects deep": b'{"stages": ' + b'{"a":' * 100_000,
    "5,000 digits": b'{"schema": "spikeport-run/1", "stages": {}, "x": ' + b"9" * 5000 + b"}",
    "NaN": b'{"schema": "spikeport-run/1", "stages": {"data": NaN}}',
    "10 MB": b'{"schema": "' + b"x" * 10_000_000 + b'"}',
    "the same key twice": b'{"schema": "spikeport-run/1", "schema": 1, "stages": {}}',
}
_ONE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
TENSORS: dict[str, bytes] = {
    "empty": b"",
    "a header of 2^63": (2**63 - 1).to_bytes(8, "little") + b"{}",
    "a header of 100 MB": (100_000_000).to_bytes(8, "little") + b"{" + bytes(1000),
    "offsets that lie": b"\x40\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,1e9]}}'.ljust(64),
    "shape that wraps": b"\x60\0\0\0\0\0\0\0"
    + b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'.ljust(96),
    "dtype unknown": b"\x50\0\0\0\0\0\0\0" + _ONE.replace(b"F32", b"\\u001b").ljust(80),
    "no JSON": b"\x04\0\0\0\0\0\0\0abcd",
    "deep": b"\x10\x27\0\0\0\0\0\0" + b"[" * 10_000,
    "other weights": b"\x40\0\0\0\0\0\0\0" + _ONE.ljust(64) + bytes(4),
}
VERBS = {"report": ["report", "run"], "resume": small_run.words("run", "--resume"), "check": ["check", "run", "-q"],
         "compare": ["compare", "run", "sound", "--out", "c"]}  # fmt: skip
WRITES = ("run", "c", "divergence")


def _laid(base: Callable[[], Path], change: Change, verb: str) -> Callable[..., Any]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        shutil.copytree(base(), folder / "run", symlinks=True)
        shutil.copyfile(base().parent / "r.toml", folder / "r.toml")
        if verb == "compare":
            shutil.copytree(base(), folder / "sound", symlinks=True)
        (folder.parent / "mine").write_text("mine")
        change(folder / "run", rng)
        return VERBS[verb]

    return build


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a JSON value; of lists, only the first two entries."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _places(entry, (*path, key))


def _put(value: Any, path: tuple[Any, ...], odd: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = odd


def _json(name: str, number: int) -> Change:
    """Replaces one value of a JSON file of the run. The number determines which value, and by what."""

    def change(run: Path, rng: np.random.Generator) -> None:
        found = json.loads((run / name).read_text())
        places = [path for path in _places(found) if path != ("schema",)]
        few = [path for path in places if len(path) <= 3]
        path = (few if number % 2 else places)[int(rng.integers(len(few if number % 2 else places)))]
        if rng.random() < 0.15:
            parent = found
            for key in path[:-1]:
                parent = parent[key]
            parent.pop(path[-1])
        else:
            _put(found, path, ODD[number % len(ODD)])
        (run / name).write_text(json.dumps(found))

    return change


def _written(name: str, content: bytes) -> Change:
    return lambda run, rng: (run / name).write_bytes(content)


def _trusted(name: str, change: Callable[[Path, np.random.Generator], bytes]) -> Callable[..., object]:
    """Replaces a file of a stage and its hash in the manifest, so that the stage is not repeated."""

    def tamper(run: Path, rng: np.random.Generator) -> None:
        (run / name).write_bytes(change(run / name, rng))
        manifest = json.loads((run / "manifest.json").read_text())
        for entry in manifest["stages"].values():
            if name in entry["files"]:
                entry["files"][name] = small_run.hash_of(run / name)
        (run / "manifest.json").write_text(json.dumps(manifest))

    return tamper


def _flipped(path: Path, rng: np.random.Generator) -> bytes:
    return _bytes(rng, path.read_bytes(), bytes(300))


def _fifo(at: Path) -> None:
    at.unlink()
    os.mkfifo(at)


def _folder(at: Path) -> None:
    at.unlink()
    at.mkdir()


def _link(at: Path, target: str) -> None:
    at.unlink()
    at.symlink_to(target)


ODD_ENTRIES: dict[str, Change] = {
    "the manifest is a FIFO": lambda run, rng: _fifo(run / "manifest.json"),
    "the manifest is a folder": lambda run, rng: _folder(run / "manifest.json"),
    "the manifest is /dev/zero": lambda run, rng: _link(run / "manifest.json", "/dev/zero"),
    "the recipe is a FIFO": lambda run, rng: _fifo(run / "recipe.toml"),
    "no recipe": lambda run, rng: (run / "recipe.toml").unlink(),
    "another recipe": _written("recipe.toml", b'name = "\\u001b[31m"'),
    "the report is a folder": lambda run, rng: _folder(run / "report.html"),
    "the report is a link out": lambda run, rng: _link(run / "report.md", "../../mine"),
    "the lock is a folder": lambda run, rng: _folder(run / ".lock"),
    "the run is a file": lambda run, rng: (shutil.rmtree(run), run.write_text("x")),
    "the run is a FIFO": lambda run, rng: (shutil.rmtree(run), os.mkfifo(run)),
    "the run is gone": lambda run, rng: shutil.rmtree(run),
    "weights are a FIFO": lambda run, rng: _fifo(run / "student.safetensors"),
    "metrics are noise": _written("metrics.jsonl", bytes(range(256))),
    "metrics are objects": _written("metrics.jsonl", b'{"a": 1}\n[]\n'),
}  # fmt: skip


def cases(base: Callable[[], Path]) -> list[Case]:
    """All damaged run folders, in order.

    Args:
        base: gives a valid run folder, made without Lava.
    """

    def case(name: str, change: Change, verb: str) -> Case:
        return Case("runs", f"{verb}: {name}", _laid(base, change, verb), WRITES)

    found = [
        Case("runs", f"{verb}: sound", _laid(base, lambda run, rng: None, verb), WRITES, codes=(0,)) for verb in VERBS
    ]
    for name, content in TEXTS.items():
        for verb in ("report", "compare", "resume"):
            found.append(case(f"manifest: {name}", _written("manifest.json", content), verb))
        found.append(case(f"report.json: {name}", _written("report.json", content), "compare"))
        found.append(case(f"baseline.json: {name}", _trusted("baseline.json", lambda p, r, c=content: c), "report"))
    for number in range(60):
        found.append(case(f"manifest value {number}", _json("manifest.json", number), list(VERBS)[number % 4]))
    for number in range(30):
        found.append(case(f"report.json value {number}", _json("report.json", number), "compare"))
        found.append(case(f"baseline.json value {number}", _json("baseline.json", number), "report"))
    for name, content in TENSORS.items():
        for file, verb in (("teacher.safetensors", "resume"), ("student.safetensors", "check")):
            found.append(case(f"{file}: {name}", _trusted(file, lambda path, rng, c=content: c), verb))
    for file in ("quantized.safetensors", "student.net", "student.nir", "student.nir.json", "test-frames.npz",
                 "trace.npz", "samples.csv", "teacher.safetensors"):  # fmt: skip
        for number in range(3):
            found.append(case(f"{file} damaged {number}", _trusted(file, _flipped), "report" if number else "check"))
    found += [case(name, change, verb) for name, change in ODD_ENTRIES.items() for verb in ("report", "resume")]
    return found
