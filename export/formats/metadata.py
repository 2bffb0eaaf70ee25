"""The metadata file of a .nir file: JSON with properties that NIR cannot express, and a checksum of the .nir file."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import UserError
from spikeport.files import write_json
from spikeport.values import Shape

SCHEMA = "spikeport-graph/1"
ROUNDING = "half to even"
LARGEST = 16 << 20  # bytes
ORDER = "decay, add input, fire if v > threshold, reset v to zero"


@dataclass(frozen=True, kw_only=True)
class GraphMetadata:
    """Content of a metadata file.

    Attributes:
        dt_s: time step in seconds.
        reset: kind of reset; "zero" is the only one that Loihi has.
        input_shape: shape of one sample, `(C, H, W)` or `(N,)`.
        scales: integer units per float unit of each weight node that is quantized already.
        notes: assumptions that were made when the graph was loaded.
        layers: names of the nodes in the order of the chain, for information only; not read back.
        readout: how the output becomes a class; "" for the default of the graph's last node.
        bias: treatment of a bias before a neuron with synaptic current: "refuse" or "neuron" (a bias neuron).
        allow_vector: whether neurons of one layer may have different decays.
        fires_at: ">": neurons fire above their threshold; ">=": also where v equals it.
        row_scales: groups of rows with a weight scale of their own: of every layer, or by name of a layer.
    """

    dt_s: float
    reset: str
    input_shape: Shape
    scales: Mapping[str, float]
    notes: tuple[str, ...]
    layers: tuple[str, ...] = ()
    readout: str = ""
    bias: str = "refuse"
    allow_vector: bool = False
    fires_at: str = ">"
    row_scales: int | Mapping[str, int] = 1

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return {
            "dt_s": self.dt_s,
            "reset": self.reset,
            "input_shape": list(self.input_shape),
            "layers": list(self.layers),
            "scales": dict(self.scales),
            "readout": self.readout,
            "bias": self.bias,
            "allow_vector": self.allow_vector,
            "fires_at": self.fires_at,
            "row_scales": self.row_scales if isinstance(self.row_scales, int) else dict(self.row_scales),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> GraphMetadata:
        """The metadata in the JSON of a file.

        Args:
            found: the JSON object.

        Raises:
            ValueError: a field has another type or an impossible value.
            KeyError: a field is missing.
            OverflowError: a number is too large for a float.
        """
        shape, scales, notes = found["input_shape"], found["scales"], found["notes"]
        if not (
            isinstance(shape, list) and 1 <= len(shape) <= 4 and all(type(n) is int and 0 < n < 2**31 for n in shape)
        ):
            raise ValueError("input_shape is not a list of positive sizes")
        if not isinstance(scales, dict) or not isinstance(notes, list):
            raise ValueError("scales is not a table, or notes is not a list")
        reset, bias = _text(found, "reset"), _text({"bias": "refuse", **found}, "bias")
        if bias not in ("refuse", "neuron"):
            raise ValueError(f"bias is {bias[:40]!r}")
        allow_vector = found.get("allow_vector", False)
        if not isinstance(allow_vector, bool):
            raise ValueError("allow_vector is neither true nor false")
        fires_at = _text({"fires_at": ">", **found}, "fires_at")
        if fires_at not in (">", ">="):
            raise ValueError(f"fires_at is {fires_at[:40]!r}")
        return cls(
            dt_s=_positive("dt_s", found["dt_s"]),
            reset=reset,
            input_shape=tuple(shape),
            scales={_legible(name): _positive(f"the scale of {name}", scale) for name, scale in scales.items()},
            notes=tuple(_text({"note": note}, "note") for note in notes),
            readout=_text({"readout": "", **found}, "readout"),
            bias=bias,
            allow_vector=allow_vector,
            fires_at=fires_at,
            row_scales=_row_scales(found.get("row_scales", 1)),
        )


def _row_scales(found: object) -> int | dict[str, int]:
    if type(found) is int:
        return found
    if isinstance(found, dict) and all(type(count) is int for count in found.values()):
        return {_legible(name): count for name, count in found.items()}
    raise ValueError("row_scales is neither a number nor a table of numbers")


def metadata_path(path: str | os.PathLike[str]) -> Path:
    """Path of the metadata file of a .nir file.

    Args:
        path: the .nir file.
    """
    return Path(f"{os.fspath(path)}.json")


def write_metadata(path: str | os.PathLike[str], metadata: GraphMetadata) -> None:
    """Writes the metadata file of a .nir file, with the checksum of the .nir file.

    Args:
        path: the .nir file, which must exist.
        metadata: the content.
    """
    order = ORDER.replace("v >", f"v {metadata.fires_at}")
    fixed = {"schema": SCHEMA, "order": order, "rounding": ROUNDING}
    write_json(metadata_path(path), {**fixed, **metadata.to_json(), "nir_sha256": _digest(Path(path))})


def read_metadata(path: str | os.PathLike[str]) -> GraphMetadata | None:
    """Reads the metadata of a .nir file.

    Args:
        path: the .nir file.

    Returns:
        The metadata; None if there is no metadata file.

    Raises:
        UserError: the metadata file is damaged or belongs to another .nir file.
    """
    file = metadata_path(path)
    if not (file.exists() and Path(path).is_file()):
        return None
    hint = "export the network again, or remove the metadata file and give --dt and --reset"
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        found = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        metadata = GraphMetadata.from_json(found)
        expected = _text(found, "nir_sha256")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError("this metadata file cannot be used", where=str(file), cause=reason[:300], hint=hint) from error
    if expected != _digest(Path(path)):
        raise UserError("was written for another .nir file", where=str(file), cause="the checksum differs", hint=hint)
    return metadata


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} is not a number above 0")
    return float(value)


def _text(found: Mapping[str, Any], key: str) -> str:
    if not isinstance(found[key], str):
        raise ValueError(f"{key} is not a text")
    return _legible(found[key])


def _legible(text: str) -> str:
    text.encode("utf-8")  # JSON can contain lone surrogates, which cannot be printed
    return text


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}")


def agrees(path: str | os.PathLike[str], key: str, stored: Any, given: Any, equal: bool) -> None:
    """Checks that an argument agrees with the metadata file.

    Args:
        path: the .nir file, for error messages.
        key: name of the property.
        stored: value in the metadata file.
        given: value of the argument; None if it was not given.
        equal: whether both are equal.

    Raises:
        UserError: the argument was given and does not agree.
    """
    if given is not None and not equal:
        raise UserError(
            f"{key} = {given} contradicts {stored}", where=str(metadata_path(path)),
            cause="the metadata file states the values of the training", hint="leave the option out",
        )  # fmt: skip


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
