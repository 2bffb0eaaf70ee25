"""Bounds of what a recipe may ask for: above every sensible value, below what numbers, libraries or memory can hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

SIDE = 4096  # pixels; the largest event sensors have 1,280 x 720
RECORDING = 2**30  # values of one recording's frames, each a byte while they are unpacked
FRAME_US = 3_600_000_000  # an hour; 1,024 of them still count in 64 bits
CELLS = 2**16  # channels or cells of one layer
LAYERS = 64
KERNEL = 255
WIDER = 64.0  # times the published numbers of channels
BATCH = 10**6
OFTEN = 10**7  # epochs or updates
MANY = 10**9  # recordings or images
SEED = 2**63 - 1  # what random generators take
PLACES = 2**12  # processes, machines or threads
LONG_S = 1e7  # seconds; what waits cannot wait longer

Side = Annotated[int, Field(ge=1, le=SIDE)]
SideOrNone = Annotated[int, Field(ge=0, le=SIDE)]
Pixels = Annotated[float, Field(ge=0, le=SIDE)]
FrameTime = Annotated[int, Field(ge=1, le=FRAME_US)]
Cells = Annotated[int, Field(ge=1, le=CELLS)]
CellsOrNone = Annotated[int, Field(ge=0, le=CELLS)]
Channels = Annotated[tuple[Cells, ...], Field(max_length=LAYERS)]
Layers = Annotated[tuple[Cells, ...], Field(min_length=1, max_length=LAYERS)]
Kernel = Annotated[int, Field(ge=1, le=KERNEL)]
Width = Annotated[float, Field(gt=0, le=WIDER)]
Batch = Annotated[int, Field(ge=1, le=BATCH)]
BatchOrNone = Annotated[int, Field(ge=0, le=BATCH)]
Times = Annotated[int, Field(ge=1, le=OFTEN)]
TimesOrNone = Annotated[int, Field(ge=0, le=OFTEN)]
Count = Annotated[int, Field(ge=0, le=MANY)]
Seed = Annotated[int, Field(ge=0, le=SEED)]
AnySeed = Annotated[int, Field(ge=-SEED, le=SEED)]
Offset = Annotated[int, Field(ge=-(10**12), le=10**12)]
Places = Annotated[int, Field(ge=1, le=PLACES)]
PlacesOrNone = Annotated[int, Field(ge=0, le=PLACES)]
Seconds = Annotated[float, Field(gt=0, le=LONG_S)]
