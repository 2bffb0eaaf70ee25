"""Checks that a command writes only new files or files of its own, never its inputs or files of a run."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from spikeport.errors import UserError

PREDICTIONS_HEAD = ("recording", "class", "silent", "margin")  # first columns of the table that `predict` writes
_MEND = "name another --out"


def check_file(out: Path, kind: str, ours: Callable[[Path], bool], *, reads: Iterable[Path | None] = ()) -> None:
    """Checks that a command may write a file.

    Args:
        out: the file.
        kind: kind of the file, such as "preview", for the error.
        ours: whether an existing file is of this kind and may be replaced.
        reads: files that the command reads; None is ignored. Links to them are found.

    Raises:
        UserError: `out` is a file that is read, belongs to a run, or exists and is not of this kind.
    """
    out = _where(out)
    if not os.path.lexists(out):
        return
    for read in reads:
        if read is not None and _same(out, read):
            raise UserError("this is the file that is read", where=str(out), hint=_MEND)
    if _is_of_a_run(out):
        raise UserError("this file belongs to a run", where=str(out), hint=_MEND)
    if not (out.is_file() and ours(out)):
        raise UserError(
            f"this file exists and is not {_with_article(kind)}", where=str(out), hint=f"{_MEND}, or move it away"
        )


def check_folder(out: Path, files: Sequence[str], kind: str, *, schema: str) -> None:
    """Checks that a command may write into a folder.

    Args:
        out: the folder.
        files: names of the files that the command writes.
        kind: what these files are, such as "comparison", for the error.
        schema: value of `schema` in the JSON file among them, by which earlier output is recognized.

    Raises:
        UserError: `out` is not a folder, or contains other files.
    """
    out = _where(out)
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise UserError("this is not a folder", where=str(out), hint=_MEND)
    held = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")}
    known = next((name for name in files if name.endswith(".json")), "")
    if held - set(files) or (held and json_object(out / known).get("schema") != schema):
        raise UserError(
            f"this folder holds files that are not {_with_article(kind)}",
            where=str(out),
            hint="name an empty --out folder",
        )


def is_trace(file: Path) -> bool:
    """Whether `file` is one that `SpikeTrace.save` wrote.

    Args:
        file: an existing file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return {"backend.npy", "spikes.npy"} <= set(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def is_frames_file(file: Path) -> bool:
    """Whether `file` holds frames, or frames and labels, and nothing else.

    Args:
        file: an existing file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return {"frames.npy"} <= set(archive.namelist()) <= {"frames.npy", "labels.npy"}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def is_predictions(file: Path) -> bool:
    """Whether `file` is a table that `predict` wrote.

    Args:
        file: an existing file.
    """
    head = ",".join((*PREDICTIONS_HEAD, "")).encode()
    with open(file, "rb") as opened:
        return opened.read(len(head)) == head


def is_picture(file: Path) -> bool:
    """Whether `file` is a picture that `data preview` wrote.

    Args:
        file: an existing file.
    """
    from spikeport.pipeline.data.preview import SOFTWARE

    with open(file, "rb") as opened:
        head = opened.read(4096)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"Software\0" + SOFTWARE.encode() in head


def is_animation(file: Path) -> bool:
    """Whether `file` is an animation that `data look` wrote.

    Args:
        file: an existing file.
    """
    from spikeport.pipeline.data.own_data.pictures import COMMENT

    with open(file, "rb") as opened:
        head = opened.read(4096)
    return head.startswith(b"GIF8") and COMMENT in head


def is_exported(file: Path) -> bool:
    """Whether a file is a network, a metadata file or a table that `export` wrote.

    Args:
        file: an existing file.
    """
    from spikeport.export.formats.metadata import SCHEMA, read_metadata
    from spikeport.export.formats.safe_hdf5 import Tree, read_tree

    try:
        if file.suffix == ".nir":
            return read_metadata(file) is not None
        if file.suffix == ".json":
            held = json_object(file)
            return held.get("schema") == SCHEMA or {"metadata", "quantization", "notes"} <= held.keys()
        layers = read_tree(file).members.get("layer")
        groups = layers.members.values() if isinstance(layers, Tree) else ()
        return any("name" in group.attributes for group in groups if isinstance(group, Tree))
    except UserError:
        return False


def json_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none.

    Args:
        file: the file; it may be missing.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _where(out: Path) -> Path:
    """`out`, resolved if it does not exist, since `new/../file` changes its meaning when the folder is created."""
    return out if os.path.lexists(out) else out.resolve()  # a link to nothing is there


def _same(out: Path, read: Path) -> bool:
    try:
        return os.path.samefile(out, read)
    except OSError:
        return False


def _is_of_a_run(out: Path) -> bool:
    """Whether a stage of the run in the same folder wrote `out`."""
    from spikeport.pipeline.run.recipe_file import MANIFEST, RECIPE

    stages = json_object(out.parent / MANIFEST).get("stages")
    if not isinstance(stages, dict):
        return False
    recorded = [entry.get("files") for entry in stages.values() if isinstance(entry, dict)]
    return out.name in {MANIFEST, RECIPE}.union(*(files for files in recorded if isinstance(files, dict)))


def _with_article(kind: str) -> str:
    """`an earlier export`, `a preview`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
