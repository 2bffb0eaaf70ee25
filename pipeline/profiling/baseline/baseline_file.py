"""Reads and writes baseline.json: measured rows of a baseline, for reports on another machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeport.errors import UserError
from spikeport.files import write_json
from spikeport.pipeline.profiling.baseline.rows import MEASURED, BaselineRow
from spikeport.pydantic_errors import explain
from spikeport.regular_files import read_small
from spikeport.versions import About

SCHEMA = "spikeport-baseline/1"

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Interval(_Part):
    low: Finite
    nominal: Finite
    high: Finite


class _Point(_Part):
    batch: Annotated[int, Field(ge=1)]
    latency_us: _Interval
    us_per_inference: Annotated[Finite, Field(gt=0)]
    repeats: Annotated[int, Field(ge=1)]
    energy_uj: _Interval | None


class _Row(_Part):
    model_config = ConfigDict(extra="allow")

    model: str
    device: str
    batch: Annotated[int, Field(ge=1)]
    latency_us: _Interval | None
    latency_basis: Literal["measured"] | None
    energy_uj: _Interval | None
    energy_basis: Literal["measured"] | None
    scope: str
    curve: list[_Point] = []  # absent from older files


class _File(_Part):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    format: Literal["spikeport-baseline/1"] = Field(alias="schema")
    created_utc: str
    versions: dict[str, str]
    networks: dict[str, str]
    rows: list[_Row]


def write_baseline(
    path: str | os.PathLike[str], rows: Sequence[BaselineRow], about: About, networks: dict[str, str]
) -> None:
    """Writes the measured rows of a baseline; modeled rows are left out.

    Args:
        path: the file.
        rows: rows of a baseline.
        about: creation time and versions, from `spikeport.versions.about_this_run`.
        networks: SHA-256 of each ONNX file that was timed, by name.
    """
    measured = [row for row in rows if MEASURED in (row.get("latency_basis"), row.get("energy_basis"))]
    facts = {"created_utc": about["created_utc"], "versions": about["versions"], "networks": networks}
    write_json(Path(path), {"schema": SCHEMA, **facts, "rows": measured})


def read_baseline(path: str | os.PathLike[str]) -> list[BaselineRow]:
    """Reads the rows of a baseline.json of another machine.

    Args:
        path: the file.

    Returns:
        The rows. The scope of each contains the time of the measurement, and `taken_from` the name and SHA-256 of the
        file.

    Raises:
        UserError: the file cannot be read, or a key is missing or has a wrong value.
    """
    where = os.fspath(path)
    try:
        content = read_small(Path(path), most=2**26)
    except OSError as error:
        raise UserError(
            "cannot read this baseline", where=where, cause=error.strerror or "", hint="name a run's baseline.json"
        ) from error
    try:
        found = _File.model_validate_json(content)
    except ValidationError as error:
        raise UserError(
            explain(error, {}), where=where, hint="name the baseline.json of a run, as it was written"
        ) from None
    source = {"file": Path(path).name, "sha256": hashlib.sha256(content).hexdigest()}
    rows: list[Any] = [
        row.model_dump(mode="json", exclude_unset=True)
        | {"scope": f"measured elsewhere, {found.created_utc}: {row.scope}", "taken_from": source}
        for row in found.rows
    ]
    return rows
