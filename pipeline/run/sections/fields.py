"""Types of recipe keys with their bounds: above every sensible value, below what numbers, libraries or memory hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from spikeport.errors import UserError
from spikeport.paths import expanded

SIDE = 4096  # pixels; the largest event sensors have 1,280 x 720
RECORDING = 2**30  # values of one recording's frames, each a byte while they are unpacked
STEPS = 1024  # frames of a recording
FRAME_US = 3_600_000_000  # an hour; 1,024 of them still count in 64 bits
NEURONS = 2**16  # channels or neurons of one layer
LAYERS = 64
KERNEL = 255
WIDTH = 64.0  # times the published numbers of channels
BATCH = 10**6
EPOCHS = 10**7  # epochs or updates
COUNT = 10**9  # recordings or images
SEED = 2**63 - 1  # the largest seed of the random generators
PROCESSES = 2**12  # processes, machines or threads
SECONDS = 1e7  # the longest time-out of the operating system


class Section(BaseModel):
    """Base class of the sections of a recipe: frozen, strictly typed, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _check_odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError("it must be odd, so that its middle is a pixel")
    return number


def _check_finite(options: Mapping[str, Any]) -> Mapping[str, Any]:
    for key, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key} must be a finite number")
    return options


def _check_file_name(name: str) -> str:
    if name in ("", ".", "..") or not name.isprintable() or len(name.encode()) > 200 or set("/\\") & set(name):
        raise ValueError("it must be the name of a folder, of at most 200 bytes without slashes")
    return name


def _expand_path(path: str) -> str:
    try:
        return expanded(path)
    except UserError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


def _expand_network(name: str) -> str:
    kind, colon, rest = name.partition(":")
    return f"{kind}:{_expand_path(rest)}" if colon and kind in ("onnx", "run") else name


Side = Annotated[int, Field(ge=1, le=SIDE)]
SideOrZero = Annotated[int, Field(ge=0, le=SIDE)]
Pixels = Annotated[float, Field(ge=0, le=SIDE)]
Degrees = Annotated[float, Field(ge=0, le=180)]
FrameTime = Annotated[int, Field(ge=1, le=FRAME_US)]
Neurons = Annotated[int, Field(ge=1, le=NEURONS)]
NeuronsOrZero = Annotated[int, Field(ge=0, le=NEURONS)]
Channels = Annotated[tuple[Neurons, ...], Field(max_length=LAYERS)]
Layers = Annotated[tuple[Neurons, ...], Field(min_length=1, max_length=LAYERS)]
Kernel = Annotated[int, Field(ge=1, le=KERNEL)]
OddKernel = Annotated[int, Field(ge=1, le=KERNEL), AfterValidator(_check_odd)]
Width = Annotated[float, Field(gt=0, le=WIDTH)]
Batch = Annotated[int, Field(ge=1, le=BATCH)]
BatchOrZero = Annotated[int, Field(ge=0, le=BATCH)]
Epochs = Annotated[int, Field(ge=1, le=EPOCHS)]
EpochsOrZero = Annotated[int, Field(ge=0, le=EPOCHS)]
StepsOrZero = Annotated[int, Field(ge=0, le=STEPS)]
Count = Annotated[int, Field(ge=0, le=COUNT)]
Seed = Annotated[int, Field(ge=0, le=SEED)]
SignedSeed = Annotated[int, Field(ge=-SEED, le=SEED)]
Offset = Annotated[int, Field(ge=-(10**12), le=10**12)]
Processes = Annotated[int, Field(ge=1, le=PROCESSES)]
ProcessesOrZero = Annotated[int, Field(ge=0, le=PROCESSES)]
Seconds = Annotated[float, Field(gt=0, le=SECONDS)]
Fraction = Annotated[float, Field(ge=0, le=1)]
FractionBelowOne = Annotated[float, Field(ge=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
FileName = Annotated[str, AfterValidator(_check_file_name)]
ExpandedPath = Annotated[str, AfterValidator(_expand_path)]
NetworkName = Annotated[str, AfterValidator(_expand_network)]
Options = Annotated[dict[str, Any], AfterValidator(_check_finite)]
RedGreenBlue = tuple[()] | tuple[float, float, float]
PositiveRedGreenBlue = tuple[()] | tuple[PositiveFloat, PositiveFloat, PositiveFloat]
