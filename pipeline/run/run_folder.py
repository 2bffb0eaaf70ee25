"""The folder of a run: its files, the results of its stages, and which stages are done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeport import exits
from spikeport.errors import UserError
from spikeport.files import write_json, write_text
from spikeport.locks import held
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST, RECIPE, load_recipe
from spikeport.regular_files import read_small
from spikeport.temporaries import sweep_temporaries

SCHEMA = "spikeport-run/1"
SEAL = "sha256"  # key of the digest of a stage's entry, by which a change by hand is noticed
MOST_BYTES = 2**28


@dataclass(frozen=True)
class RunFolder:
    """A run on disk, made by `create` or `open_run`; its manifest changes through its methods alone.

    Attributes:
        path: the folder.
        recipe: the resolved recipe.
        manifest: content of manifest.json: `schema`, `about`, and an entry (`seconds`, `files`, `result`) a stage.
    """

    path: Path
    recipe: Recipe
    manifest: dict[str, Any] = field(repr=False)

    def file(self, name: str) -> Path:
        """Path of the file `name` of this run.

        Args:
            name: name of the file.
        """
        return self.path / name

    def result(self, stage: str) -> Any:
        """The result of a stage in JSON values, which a class in `stages.results` reads.

        Args:
            stage: name of the stage.

        Raises:
            UserError: the stage has not run.
        """
        entry = self.manifest["stages"].get(stage)
        if entry is None:
            raise UserError(
                f"the stage {stage!r} has not run", where=str(self.path), hint="finish it with spikeport run --resume"
            )
        return entry["result"]

    def files(self, stage: str) -> tuple[str, ...]:
        """Names of the files that `stage` wrote.

        Args:
            stage: name of the stage.
        """
        return tuple(self.manifest["stages"][stage]["files"])

    def is_done(self, stage: str) -> bool:
        """Whether the stage has run, and its files are unchanged.

        Args:
            stage: name of the stage.
        """
        return self.what_is_wrong(stage) == ""

    def what_is_wrong(self, stage: str) -> str:
        """Why a stage is not done: it has not run, or files are missing or changed; "" if it is done.

        Args:
            stage: name of the stage.
        """
        entry = self.manifest["stages"].get(stage)
        if entry is None:
            return "has not run"
        found = {name: (_fingerprint(self.file(name)), digest) for name, digest in entry["files"].items()}
        gone = [f"{name} is missing" for name, (now, _) in found.items() if now is None]
        return ", ".join([*gone, *(f"{name} was changed" for name, (now, was) in found.items() if now and now != was)])

    def record(
        self,
        stage: str,
        result: Mapping[str, object],
        files: tuple[str, ...],
        seconds: float,
        order: Sequence[str] = (),
    ) -> None:
        """Marks a stage as done.

        Args:
            stage: its name.
            result: what it found, as JSON.
            files: names of the files that it wrote.
            seconds: its duration.
            order: names of all stages, in the order of the manifest.
        """
        digests = {name: _fingerprint(self.file(name)) for name in files}
        entry = {"seconds": round(seconds, 3), "files": digests, "result": result}
        entries = {**self.manifest["stages"], stage: {**entry, SEAL: _seal(entry)}}
        places = {name: place for place, name in enumerate(order)}
        self.manifest["stages"] = dict(sorted(entries.items(), key=lambda each: places.get(each[0], -1)))
        write_json(self.file(MANIFEST), self.manifest)

    def keep(self, key: str, value: Any) -> None:
        """Writes a value that belongs to no stage into the manifest.

        Args:
            key: key in the manifest.
            value: JSON values.
        """
        self.manifest[key] = value
        write_json(self.file(MANIFEST), self.manifest)

    def forget(self, stages: tuple[str, ...]) -> None:
        """Marks stages as not done.

        Args:
            stages: names of the stages.
        """
        forgotten = [self.manifest["stages"].pop(stage, None) for stage in stages]
        if any(forgotten):
            write_json(self.file(MANIFEST), self.manifest)


def create(path: Path, recipe: Recipe, *, resume: bool, about: Mapping[str, object]) -> RunFolder:
    """A new run folder, or with `resume` the run that is there. A run without a finished stage counts as none.

    Args:
        path: the folder.
        recipe: recipe of a new run.
        resume: open the run that is there, with the recipe that it was made with.
        about: versions and the like, for the manifest of a new run.

    Raises:
        UserError: the folder contains a run and `resume` is off, or other files.
    """
    if (path / MANIFEST).is_file() and (run := open_run(path)).manifest["stages"]:
        if not resume:
            raise UserError(
                "this folder already holds a run", where=str(path), hint="go on with --resume, or name another --out"
            )
        return run
    left = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} if path.is_dir() else set()
    ours = {RECIPE, MANIFEST} if MANIFEST in left or is_text(path / RECIPE, recipe.as_toml()) else {MANIFEST}
    if left - ours:
        raise UserError(
            "this folder holds files that are not a run", where=str(path), hint="name an empty --out folder"
        )
    write_text(path / RECIPE, recipe.as_toml())
    manifest = {"schema": SCHEMA, "about": about, "stages": {}}
    write_json(path / MANIFEST, manifest)
    return RunFolder(path, recipe, manifest)


def is_text(file: Path, text: str) -> bool:
    """Whether a file has exactly this text.

    Args:
        file: the file; it may be missing.
        text: the text.
    """
    try:
        return file.read_bytes() == text.encode()
    except OSError:
        return False


def open_run(path: Path) -> RunFolder:
    """Opens the run in a folder.

    Args:
        path: the run folder.

    Raises:
        UserError: the folder contains no run, or its manifest cannot be read.
    """
    try:
        manifest = json.loads(read_small(path / MANIFEST, MOST_BYTES))
    except OSError:
        raise UserError("is not a run folder", where=str(path), hint="name a folder that spikeport run made") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise _damaged(path, "it is not the JSON of a run") from None
    legal = isinstance(manifest, dict) and manifest.get("schema") == SCHEMA and isinstance(manifest.get("about"), dict)
    if not legal or not isinstance(manifest.get("stages"), dict):
        raise _damaged(path, "it lacks parts that every run writes")
    for stage, entry in manifest["stages"].items():
        if not _is_entry(entry):
            raise _damaged(path, f"its stage {stage!r} is not a stage entry")
        if entry.get(SEAL, "") not in ("", _seal(entry)):
            exits.note_changed_input(
                UserError(
                    f"the entry of the stage {stage!r} was changed after the stage was finished",
                    where=str(path / MANIFEST),
                    hint=f"do it again with spikeport run --from {stage}, or make the run again in a new folder",
                )
            )
    return RunFolder(path, load_recipe(path / RECIPE), manifest)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks a run folder for this process within the block.

    Args:
        path: the run folder; created if it does not exist.

    Raises:
        UserError: another process works in the folder.
    """
    busy = UserError(
        "another spikeport process works in this folder", where=str(path), hint="wait for it, or name another --out"
    )
    with held(path / ".lock", busy=lambda: busy):
        for folder in (path, path / "divergence", *path.glob("checkpoints/*")):
            sweep_temporaries(folder)
        yield  # the operating system releases the lock when the process ends


def differences(old: Mapping[str, object], new: Mapping[str, object], prefix: str = "") -> list[str]:
    """Sorted dotted keys at which two nested mappings differ.

    Args:
        old: a nested mapping.
        new: another one.
        prefix: start of each key.

    >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
    ['a.b']
    """
    changed = []
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            changed.append(f"{prefix}{key}")
    return sorted(changed)


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{MANIFEST} is damaged", where=str(path), cause=why, hint="make the run again in a new folder")


def _is_entry(entry: Any) -> bool:
    """Whether `entry` has all parts of a stage's entry, of the right types."""
    if not isinstance(entry, dict) or not isinstance(entry.get("files"), dict):
        return False
    digests = entry["files"].values()
    known = all(digest is None or isinstance(digest, str) for digest in digests)
    return known and isinstance(entry.get("result"), dict) and type(entry.get("seconds")) in (int, float)


def _seal(entry: Mapping[str, object]) -> str:
    """Digest of a stage's entry."""
    plain = json.loads(json.dumps({key: entry[key] for key in ("seconds", "files", "result")}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> str | None:
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
