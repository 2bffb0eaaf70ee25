"""Event files of every extension with damaged bytes or fields, each identified by number and seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fuzz_files import _bytes

from hostile_inputs.cases import Case
from hostile_inputs.event_files import HEIGHT, WIDTH, as_file, class_folders, some_events
from hostile_inputs.recordings import BIG, INFO
from spikeport.pipeline.data.readers.recordings import READERS

EXTENSIONS = tuple(READERS)


def mutant(number: int, seed: int) -> tuple[str, bytes]:
    """A damaged event file.

    Args:
        number: number of the file.
        seed: seed of all files.

    Returns:
        Its extension and its bytes.
    """
    rng = np.random.default_rng([seed, number])
    extension = EXTENSIONS[number % len(EXTENSIONS)]
    events = some_events(rng, int(rng.choice([1, 2, 30, 400])))
    if rng.random() < 0.3:
        _out_of_range(rng, events)
    content = as_file(extension, events)
    if rng.random() < 0.6:
        content = _bytes(rng, content, as_file(EXTENSIONS[int(rng.integers(len(EXTENSIONS)))], some_events(rng)))
    if rng.random() < 0.25:
        content = _size(rng, content)
    return extension, content


def _out_of_range(rng: np.random.Generator, events: np.ndarray) -> None:
    """Sets a field of some events to values outside its range."""
    name = str(rng.choice(["t", "x", "y", "p"]))
    odd = {"t": [-1, 2**31, 2**32 - 1, 2**40, 0], "x": [WIDTH, 255, 65535], "y": [HEIGHT, 255, 65535], "p": [2, 255]}
    events[name][rng.random(len(events)) < 0.2] = odd[name][int(rng.integers(len(odd[name])))]


def _size(rng: np.random.Generator, content: bytes) -> bytes:
    """Replaces four of the first 300 bytes, which contain sizes, by a small, huge or negative number."""
    if len(content) < 8:
        return content
    at = int(rng.integers(min(len(content) - 4, 300)))
    value = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**30]))
    return content[:at] + value.to_bytes(4, str(rng.choice(["little", "big"]))) + content[at + 4 :]


def whole_command(number: int, seed: int) -> Case:
    """A damaged file as a recording in a class folder, read by `data info`.

    Args:
        number: number of the file.
        seed: seed of all files.
    """

    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng, recording=mutant(number, seed))
        return [*INFO, *BIG]

    return Case("mutants", f"{number}{EXTENSIONS[number % len(EXTENSIONS)]}", build)


def only_read(number: int, seed: int) -> Case:
    """A damaged file, read by the reader of recordings alone.

    Args:
        number: number of the file.
        seed: seed of all files.
    """

    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        extension, content = mutant(number, seed)
        (folder / f"a{extension}").write_bytes(content)
        return ["data", "list"]

    return Case("mutants", f"{number}{EXTENSIONS[number % len(EXTENSIONS)]} read", build, prepare=_read)


def _read() -> None:
    from spikeport.errors import UserError
    from spikeport.pipeline.data.readers.recordings import read_recording

    path = next(Path().glob("a.*"))
    try:
        read_recording(path, (128, 128), label=0, key="a")
    except UserError as error:
        raise SystemExit(_print_error(error)) from None
    raise SystemExit(0)


def _print_error(error: Exception) -> int:
    import sys

    print(f"error: {error}", file=sys.stderr)
    return int(getattr(error, "exit_code", 70))
