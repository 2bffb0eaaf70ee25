"""The sidecar of a .nir file: JSON beside it with what NIR cannot say, tied to it by a checksum."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.files import write_json
from hardware_profiles.errors import UserError

SCHEMA = "spikeport-graph/1"
ROUNDING = "half to even"
ORDER = "decay, add input, fire if v > threshold, reset v to zero"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a sidecar says: time step in seconds, reset kind, input shape, scales of quantised layers, read-out, what
    becomes of biases with slow currents, whether neurons may differ, assumptions."""

    dt_s: float
    reset: str
    input_shape: tuple[int, ...]
    scales: dict[str, float]
    notes: tuple[str, ...]
    readout: str = ""
    bias: str = "refuse"
    allow_vector: bool = False


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the contract of a .nir file is kept."""
    return Path(f"{os.fspath(path)}.json")


def write_sidecar(path: str | os.PathLike[str], contract: dict[str, Any]) -> None:
    """Writes the contract of the .nir file `path`, which must stand already, with its checksum."""
    fixed = {"schema": SCHEMA, "order": ORDER, "rounding": ROUNDING}
    write_json(sidecar_path(path), {**fixed, **contract, "nir_sha256": _digest(Path(path))})


def read_sidecar(path: str | os.PathLike[str]) -> Contract | None:
    """What the sidecar of `path` says, None where there is none. Raises UserError where it is damaged or another's."""
    file = sidecar_path(path)
    if not (file.exists() and Path(path).is_file()):
        return None
    mend = "export the network again, or remove the sidecar and give --dt and --reset"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        contract = Contract(
            dt_s=float(found["dt_s"]),
            reset=str(found["reset"]),
            input_shape=tuple(int(size) for size in found["input_shape"]),
            scales={str(name): float(scale) for name, scale in found["scales"].items()},
            notes=tuple(str(note) for note in found["notes"]),
            readout=str(found.get("readout", "")),
            bias=str(found.get("bias", "refuse")),
            allow_vector=bool(found.get("allow_vector", False)),
        )
        expected = str(found["nir_sha256"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError("this sidecar cannot be used", where=str(file), why=reason, mend=mend) from error
    if expected != _digest(Path(path)):
        raise UserError("was written for another .nir file", where=str(file), why="the checksum differs", mend=mend)
    return contract


def agrees(path: str | os.PathLike[str], key: str, kept: Any, given: Any, agree: bool) -> None:
    """Raises UserError where a value was given beside a sidecar and they do not `agree`."""
    if given is not None and not agree:
        raise UserError(
            f"{key} = {given} contradicts {kept}", where=str(sidecar_path(path)),
            why="the sidecar tells what the network was trained with", mend="leave the option out",
        )  # fmt: skip


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
