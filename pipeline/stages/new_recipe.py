"""Writes a commented recipe for own recordings in class folders."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from spikeport.errors import UserError, printable
from spikeport.files import write_text
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import parse_recipe

if TYPE_CHECKING:
    from spikeport.pipeline.data.own_data.check import DataCheck
    from spikeport.pipeline.data.own_data.frames_check import FramesCheck

COMMENT_COLUMN = 28
# The keys that a new recipe states, beside those of its data; all others have their defaults.
STATED = {
    "teacher": ("network", "epochs"),
    "student": ("network", "channels", "neuron"),
    "training": ("epochs", "batch", "lr"),
    "augmentation": ("shift", "event_drop"),
    "distillation": ("method",),
    "quantization": ("epochs",),
    "check": ("backends",),
    "profile": ("hardware",),
}


def new_recipe(
    name: str,
    events: Path,
    *,
    images: Path | None = None,
    frame: Mapping[str, int] | None = None,
    out: Path | None = None,
) -> Path:
    """Writes a recipe for recordings in class folders, with a comment on each key. No recording is read.

    A tenth of the recordings selects the weights and a fifth is the test part. Without images the method is
    "baseline".

    Args:
        name: name of the recipe and of its runs.
        events: folder of `<class>/<id>.<ext>`.
        images: folder of images by class, or of idx files; None: there are none.
        frame: `height`, `width`, `steps` and `step_us` in place of their defaults.
        out: the file; None: `<name>.toml`. An existing file is not replaced.

    Returns:
        The file.

    Raises:
        UserError: the file exists, a value is not allowed, or the recordings do not lie in class folders.
        MissingDependencyError: there is no such folder of recordings.
    """
    from spikeport.pipeline.data.sources.event_files import list_events

    file = Path(f"{name}.toml") if out is None else out
    check_new(file)
    listing = list_events(events)
    if images is not None and not images.is_dir():
        raise UserError("the folder of images is not there", where=str(images), hint="correct --images")
    count, classes = len(listing.files()), len(listing.classes)
    data = {
        **{key: dict(frame or {}).get(key, _default("data", key)) for key in ("height", "width", "steps", "step_us")},
        "validation": max(count // 10, 1),
        "test": max(count // 5, 1),
    }
    return write_recipe(file, name, _places(events, images), data, [f"{count:,} recordings in {classes} classes."])


def check_new(file: Path) -> None:
    """Checks that a recipe would not replace a file.

    Args:
        file: the recipe.

    Raises:
        UserError: the file exists.
    """
    if os.path.lexists(file):
        raise UserError("this file exists", where=str(file), hint="name another --out, or move it away")


def recipe_of_check(check: DataCheck | FramesCheck, file: Path) -> Path:
    """Writes the recipe that reads a checked folder, with the findings as comments. The name is that of the file.

    Args:
        check: what was found in the folder.
        file: the recipe; an existing file is not replaced.

    Returns:
        The file.

    Raises:
        UserError: the file exists, or a value is not allowed.
    """
    check_new(file)
    places = _places(check.folder.events, None)
    if (tests := check.folder.test_events) is not None:
        places["test_events"] = os.path.relpath(tests, places["root"])
    notes = [f"{len(check.folder.files):,} recordings in {len(check.by_class)} classes."]
    notes += [f"{each.topic}: {each.text}" for each in check.findings]
    if check.unreadable:
        notes.append("Move these away or repair them first, or no stage will run:")
        notes += [f"  {each.path}: {each.reason}" for each in check.unreadable]
    return write_recipe(file, file.stem, places, check.settings, notes)


def write_recipe(
    file: Path, name: str, places: Mapping[str, str], data: Mapping[str, Any], notes: Sequence[str]
) -> Path:
    """Writes a recipe for recordings in class folders.

    Args:
        file: the file.
        name: name of the recipe and of its runs.
        places: `root`, `events` and others of `[data]`; with `images` there is a teacher.
        data: other keys of `[data]`.
        notes: first lines, as comments.

    Returns:
        The file.

    Raises:
        UserError: a value is not allowed.
    """
    images = "images" in places
    sections = {"data": {"source": "class-folders", **places, **data}} | {
        section: {key: _default(section, key) for key in keys if images or section != "teacher"}
        for section, keys in STATED.items()
    }
    if not images:
        sections["distillation"]["method"] = "baseline"
    text = "\n".join([*_head(name, file, notes), *_body(name, sections)]) + "\n"
    parse_recipe(tomllib.loads(text), where=str(file))
    write_text(file, text)
    return file


def _places(events: Path, images: Path | None) -> dict[str, str]:
    """`root`, `events`, `images` and `pairing`; `root` is the folder that holds both, or else the working folder."""
    root = events.parent
    if images is not None and images.parent != root:
        root = Path()
    found = {"root": str(root), "events": os.path.relpath(events, root) if events.parent == root else str(events)}
    if images is not None:
        found["images"] = os.path.relpath(images, root) if images.parent == root else str(images)
        found["pairing"] = "id"
    return found


def _head(name: str, file: Path, notes: Sequence[str]) -> Iterator[str]:
    first, *others = notes
    yield f"# {first} Relative paths count from the folder where spikeport runs."
    for text in others:
        yield f"# {printable(text)}"
    yield f"#   spikeport data info {file}      sizes, split, durations, and warnings on units and sensor size"
    yield f"#   spikeport run {file} --out runs/{name}"
    yield f"#   spikeport recipe show {file}    all other keys, with default and meaning"
    yield ""


def _body(name: str, sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield _line(name=name)
    for section, keys in sections.items():
        if not keys:
            continue
        yield f"\n[{section}]"
        if section == "data" and "sensor" not in keys:
            yield "# Frames have the size of the sensor. For smaller frames of a larger sensor, set sensor and crop."
        fields = type(getattr(Recipe(), section)).model_fields
        for key, value in keys.items():
            yield f"{_line(**{key: value}).ljust(COMMENT_COLUMN - 1)} # {fields[key].description}"


def _line(**pair: Any) -> str:
    """One key as a line of TOML."""
    ((key, value),) = pair.items()
    if isinstance(value, list | tuple):
        return f"{key} = [{', '.join(_line(_=entry)[4:] for entry in value)}]"
    return tomli_w.dumps({key: value}).rstrip("\n")


def _default(section: str, key: str) -> Any:
    return getattr(getattr(Recipe(), section), key)
