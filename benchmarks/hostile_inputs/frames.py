"""Hostile files of frames and labels for `simulate`, `profile` and `export`."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import _bytes, _zip

from hostile_inputs.cases import Case
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

COUNT, STEPS, INPUTS = 12, 6, 5
PROFILE = ["profile", "a.net", "--input", "f.npz"]
SIMULATE = ["simulate", "a.net", "--input", "f.npz", "-q"]


def _network(path: Path) -> None:
    """Writes a network with five inputs and three outputs."""
    layer = IntegerLayer(
        name="fc", kind="dense", weight=2 * np.arange(-7, 8).reshape(3, 5), bias=None, i_decay=4096, v_decay=512,
        vth_mant=9, input_shape=(INPUTS,),
    )  # fmt: skip
    write_netx(IntegerNetwork(input_shape=(INPUTS,), layers=(layer,)), path)


def _some(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((COUNT, STEPS, INPUTS)) < 0.5).astype(np.uint8)


def _object(value: Any) -> np.ndarray:
    found = np.empty(COUNT, dtype=object)
    found[:] = value
    return found


LABELS: dict[str, Any] = {
    "2^31 - 1": np.full(COUNT, 2**31 - 1),
    "2^31": np.full(COUNT, 2**31),
    "2^63 - 1": np.full(COUNT, 2**63 - 1),
    "uint64": np.full(COUNT, 2**64 - 1, np.uint64),
    "60,000": np.arange(COUNT) + 60_000,
    "from 1": np.arange(COUNT) % 3 + 1,
    "all -1": np.full(COUNT, -1),
    "half -1": np.arange(COUNT) % 2 - 1,
    "-2": np.full(COUNT, -2),
    "-2^63": np.full(COUNT, -(2**63)),
    "int8 -128": np.full(COUNT, -128, np.int8),
    "bool": np.arange(COUNT) % 2 == 0,
    "floats": np.arange(COUNT) % 3 + 0.5,
    "whole floats": np.arange(COUNT) % 3 * 1.0,
    "NaN": np.full(COUNT, np.nan),
    "complex": np.full(COUNT, 1j),
    "text": np.array(["a\x1b[31m"] * COUNT),
    "bytes": np.array([b"\xff"] * COUNT),
    "dates": np.arange(COUNT).astype("datetime64[us]"),
    "objects": _object({"a": 1}),
    "one too few": np.zeros(COUNT - 1, int),
    "none": np.zeros(0, int),
    "one number": np.array(1),
    "one column": np.zeros((COUNT, 1), int),
    "one-hot": np.eye(3, dtype=int)[np.arange(COUNT) % 3],
    "2^40 claimed": None,
}
FRAMES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "no sample": lambda rng: _some(rng)[:0],
    "no step": lambda rng: _some(rng)[:, :0],
    "one axis": lambda rng: _some(rng).reshape(-1),
    "another width": lambda rng: _some(rng)[:, :, :4],
    "values of 2": lambda rng: _some(rng) * 2,
    "floats": lambda rng: _some(rng) * 0.5,
    "NaN": lambda rng: _some(rng) * np.nan,
    "below zero": lambda rng: -_some(rng).astype(np.int64),
    "big-endian": lambda rng: _some(rng).astype(">i8"),
    "turned": lambda rng: np.asfortranarray(_some(rng)),
    "text": lambda rng: _some(rng).astype(str),
    "objects": lambda rng: _some(rng).astype(object),
}


def _laid(make: Callable[[np.random.Generator], bytes], words: list[str]) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        _network(folder / "a.net")
        (folder / "f.npz").write_bytes(make(rng))
        return words

    return build


def _labeled(labels: np.ndarray | None, name: str) -> Callable[[np.random.Generator], bytes]:
    def make(rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **{"frames": _some(rng), name: np.arange(COUNT) if labels is None else labels})
        content = buffer.getvalue()
        return content if labels is not None else content.replace(b"'shape': (12,), ", b"'shape': (1<<40,)")

    return make


def _damaged(rng: np.random.Generator, by: str) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, frames=_some(rng), labels=np.arange(COUNT) % 3)
    return _zip(rng, buffer.getvalue()) if by == "members" else _bytes(rng, buffer.getvalue(), bytes(500))


def _many(rng: np.random.Generator) -> bytes:
    """A valid .npz of 20,000 samples whose labels come after the frames."""
    buffer = io.BytesIO()
    np.savez(buffer, frames=np.resize(_some(rng), (20_000, STEPS, INPUTS)), labels=np.arange(20_000) % 3)
    return buffer.getvalue()


def _over_itself(folder: Path, rng: np.random.Generator, out: str) -> list[str]:
    _network(folder / "a.net")
    write_frames(folder / "f.npz", _some(rng))
    (folder / "notes.txt").write_text("mine")
    (folder / "link.npz").symlink_to("f.npz")
    return [*SIMULATE, "--out", out]


def cases() -> list[Case]:
    """All hostile frames and labels, in order."""
    found = []
    for name, labels in LABELS.items():
        for verb, words in (("profile", PROFILE), ("simulate", SIMULATE)):
            found.append(Case("labels", f"{verb}: {name}", _laid(_labeled(labels, "labels"), words)))
    for name in ("y", "label", "\x1b[31mlabels", "../labels", "allow_pickle"):
        found.append(Case("labels", f"named {name!r}", _laid(_labeled(np.arange(COUNT), name), PROFILE)))
    for name, frames in FRAMES.items():
        found.append(Case("frames", name, _laid(lambda rng, f=frames: _npz_of(f(rng)), SIMULATE)))
    for number in range(15):
        for by in ("members", "bytes"):
            made = _laid(lambda rng, by=by: _damaged(rng, by), PROFILE if number % 2 else SIMULATE)
            found.append(Case("frames", f"damaged {by} {number}", made))
    found.append(Case("frames", "20,000 samples", _laid(_many, SIMULATE), codes=(0,)))
    sound = np.arange(COUNT) % 3
    for verb, words in (("profile", PROFILE), ("simulate", SIMULATE)):
        found.append(Case("labels", f"{verb}: sound", _laid(_labeled(sound, "labels"), words), codes=(0,)))
    for out in ("a.net", "f.npz", "./f.npz", "link.npz", "notes.txt", "/proc/x.npz", "no/../f.npz", ".", "a\x1b[31m.b"):
        found.append(Case("frames", f"--out {out!r}", partial(_over_itself, out=out), writes=("a\x1b[31m.b", "no")))
    return found


def _npz_of(frames: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, frames=frames)
    return buffer.getvalue()
