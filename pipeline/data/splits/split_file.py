"""The part and the group of each recording: from a CSV file of the user, or from the recordings' names."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data

PARTS = ("train", "validation", "test", "unused")
LARGEST = 64 << 20  # bytes of such a file


@dataclass(frozen=True, kw_only=True)
class GivenParts:
    """What is known of the recordings beside their classes.

    Attributes:
        parts: `[N]`, the part of each recording, one of PARTS; None if it is to be drawn.
        groups: int64 `[N]`, number of the group of each recording; None if each is a group of its own.
    """

    parts: np.ndarray | None
    groups: np.ndarray | None


def given_parts(found: RawDataset, data: Data) -> GivenParts:
    """Parts and groups that a recipe gives with `data.splits` or `data.group`, else the groups that the set knows.

    Args:
        found: all recordings.
        data: the recipe's section [data].

    Raises:
        UserError: the file cannot be used, a recording is missing in it, or a name has no group.
    """
    if data.splits:
        return _read(Path(data.root, data.splits), found.keys)
    if not data.group:
        return GivenParts(parts=None, groups=_own_groups(found, data))
    pattern = re.compile(data.group)
    names = []
    for key in found.keys:
        match = pattern.search(key)
        if match is None:
            raise UserError(f"{key} has no group", where="data.group", cause=f"{data.group} is nowhere in its name",
                            hint="names are <class>/<id>; correct the pattern")  # fmt: skip
        names.append("/".join(part or "" for part in match.groups()) or match[0])
    return GivenParts(parts=None, groups=_numbered(names))


def known_groups(found: RawDataset, data: Data) -> np.ndarray | None:
    """int64 `[N]`, the group of each recording as the recipe gives it, else as the set knows it; None if unknown.

    Args:
        found: all recordings.
        data: the recipe's section [data].

    Raises:
        UserError: see `given_parts`.
    """
    groups = given_parts(found, data).groups
    return found.groups if groups is None else groups


def _own_groups(found: RawDataset, data: Data) -> np.ndarray | None:
    """The groups of the set, which a random split keeps whole."""
    if found.groups is None or data.split != "random":
        return None
    for name in ("train", "without_recordings"):
        if getattr(data, name):
            raise UserError(
                f"recordings of {found.name} are split in whole groups (persons or sessions)", where=f"data.{name}",
                hint=f"leave {name} out: train is all that validation and test leave",
            )  # fmt: skip
    return found.groups


def _read(path: Path, keys: tuple[str, ...]) -> GivenParts:
    row_of = {key: row for row, key in enumerate(keys)}
    parts, groups = [""] * len(keys), [""] * len(keys)
    seen: dict[int, int] = {}
    fields, lines = _lines(path)
    for number, line in lines:
        key = (line.get("recording") or "").strip()
        row = row_of.get(key, row_of.get(_without_extension(key)))
        if row is None:
            raise UserError(f"line {number} names {key!r}, which is no recording", where=str(path),
                            hint=f"write <class>/<id>, as in {keys[0]}")  # fmt: skip
        if row in seen:
            raise UserError(f"lines {seen[row]} and {number} name the same recording, {keys[row]}", where=str(path),
                            hint="remove one of them")  # fmt: skip
        seen[row] = number
        parts[row], groups[row] = (line.get("part") or "").strip(), (line.get("group") or "").strip()
        if "part" in fields and parts[row] not in PARTS:
            raise UserError(f"line {number}: {parts[row]!r} is no part", where=str(path),
                            hint=f"write one of {', '.join(PARTS)}")  # fmt: skip
        if "group" in fields and not groups[row]:
            raise UserError(f"line {number}: {keys[row]} has no group", where=str(path),
                            hint="give each recording the name of its person, scene or session")  # fmt: skip
    if len(seen) < len(keys):
        missing = next(key for row, key in enumerate(keys) if row not in seen)
        raise UserError(
            f"{len(keys) - len(seen)} of {len(keys)} recordings are not in this file, the first {missing}",
            where=str(path), hint="add a line for each; the part of those not to be used is unused",
        )  # fmt: skip
    found = GivenParts(
        parts=np.array(parts) if "part" in fields else None, groups=_numbered(groups) if "group" in fields else None
    )
    _check_sides(path, found, groups)
    return found


def _lines(path: Path) -> tuple[set[str], list[tuple[int, dict[str, str]]]]:
    """(names of the columns, numbered lines) of a CSV file."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError("is too large for a table of recordings", where=str(path), hint="see data.splits")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            fields = {(name or "").strip() for name in reader.fieldnames or ()}
            lines = [(reader.line_num, {(k or "").strip(): v or "" for k, v in line.items() if isinstance(v, str)})
                     for line in reader]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            "this table of recordings cannot be read", where=str(path), cause=str(error)[:200],
            hint="data.splits is a CSV file below data.root with the columns recording,part,group",
        ) from None  # fmt: skip
    if "recording" not in fields or not fields & {"part", "group"}:
        raise UserError(
            f"its columns are {', '.join(sorted(fields)) or 'none'}", where=str(path),
            hint="the first line must be recording,part or recording,group or recording,part,group",
        )  # fmt: skip
    return fields, lines


def _check_sides(path: Path, found: GivenParts, names: list[str]) -> None:
    """Raises UserError if recordings of one group are trained on and tested."""
    if found.parts is None or found.groups is None:
        return
    trained = np.isin(found.parts, ("train",))
    held_out = np.isin(found.parts, ("validation", "test"))
    both = np.intersect1d(found.groups[trained], found.groups[held_out])
    if len(both):
        row = int(np.flatnonzero(found.groups == both[0])[0])
        raise UserError(
            f"group {names[row]!r} is trained on and held out", where=str(path),
            cause="accuracy would be that of known persons or scenes",
            hint="give all recordings of a group one side, or leave the column group out",
        )  # fmt: skip


def _numbered(names: list[str]) -> np.ndarray:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _without_extension(key: str) -> str:
    head, dot, extension = key.rpartition(".")
    return head if dot and "/" not in extension else key
