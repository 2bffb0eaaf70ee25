"""A hostile input: its name, the function that writes its files, and the arguments of the command that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Build = Callable[[Path, np.random.Generator], list[str]]


@dataclass(frozen=True)
class Case:
    """A hostile input of the command.

    Attributes:
        kind: the group of inputs.
        name: the input within its group; its random numbers depend on it.
        build: writes the input into a folder with a generator, and returns the arguments of the command.
        writes: files and folders that the command may create or change. All others must stay unchanged.
        prepare: called in the process of the command before the command.
        codes: allowed exit codes.
    """

    kind: str
    name: str
    build: Build
    writes: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None
    codes: tuple[int, ...] = (0, 2, 3)


def rng_of(seed: int, case: Case) -> np.random.Generator:
    """Random numbers of a case, which do not depend on other cases.

    Args:
        seed: seed of all cases.
        case: the case.
    """
    return np.random.default_rng([seed, *f"{case.kind}:{case.name}".encode()])


def share(cases: list[Case], part: int, parts: int) -> Iterator[Case]:
    """One of several equal parts of the cases, for processes that share them.

    Args:
        cases: all cases.
        part: number of the part, from 1.
        parts: number of parts.
    """
    yield from cases[part - 1 :: parts]
