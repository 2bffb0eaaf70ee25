"""A hostile input: its name, how it is laid down, and the words of the command that meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Build = Callable[[Path, np.random.Generator], list[str]]


@dataclass(frozen=True)
class Case:
    """`build(folder, rng)` lays the input down in `folder`, where the command then runs, and gives the command's words.

    `writes`: what the command may make or change in the folder; whatever else is there afterwards stays as it was.
    `prepare`: called in the command's process before it begins. `codes`: the exit codes that it may leave with.
    """

    kind: str
    name: str
    build: Build
    writes: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None
    codes: tuple[int, ...] = (0, 2, 3)


def rng_of(seed: int, case: Case) -> np.random.Generator:
    """The case's own numbers, whatever other cases there are."""
    return np.random.default_rng([seed, *f"{case.kind}:{case.name}".encode()])


def share(cases: list[Case], part: int, parts: int) -> Iterator[Case]:
    """Every `parts`-th case from `part` (1, 2, ...) on."""
    yield from cases[part - 1 :: parts]
