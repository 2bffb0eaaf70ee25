"""Constants of the launch-bound model that were fitted to measurements of one GPU: `measured/<id>.json`.

`python benchmarks/gpu_rows.py` writes these files on a machine with a GPU. A GPU without a file has the constants of
any board.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from spikeport.errors import UserError
from spikeport.hardware_profiles.launch_bound import ANY_BOARD, LaunchConstants
from spikeport.pydantic_errors import explain
from spikeport.regular_files import read_small

FOLDER = Path(__file__).parent / "measured"

Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _ascending(ends: tuple[float, float, float]) -> tuple[float, float, float]:
    if not ends[0] <= ends[1] <= ends[2]:
        raise ValueError("low, nominal and high are not in order")
    return ends


Ends = Annotated[tuple[Positive, Positive, Positive], AfterValidator(_ascending)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Board(_Part):
    """The board and its state during the measurement.

    Attributes:
        name: name that its driver gives.
        driver: version of the driver.
        clock_mhz: clock of the processors under load, MHz; None where it was not read.
        power_limit_w: limit of the power, W; None where it was not read.
        versions: version of each package that was used.
        created_utc: time of the measurement.
    """

    name: str
    driver: str
    clock_mhz: Positive | None
    power_limit_w: Positive | None
    versions: dict[str, str]
    created_utc: str


class GpuTiming(_Part):
    """One measured network and batch.

    Attributes:
        network: name of the network.
        mode: `eager`, or `graph` where the kernels were captured in a CUDA graph.
        precision: of the operations.
        macs: multiply-accumulates of one inference.
        kernels: kernels of a batch.
        batch: inferences of a batch.
        batch_us: median time of a batch, µs.
        busy_w: mean power of the board meanwhile, W; None where it was not measured.
    """

    network: str
    mode: Literal["eager", "graph"]
    precision: Literal["fp32", "tf32", "fp16", "int8"]
    macs: Positive
    kernels: Positive
    batch: Annotated[int, Field(ge=1)]
    batch_us: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    busy_w: Positive | None


class FittedConstants(_Part):
    """Constants with (low, nominal, high), as in `launch_bound.LaunchConstants`."""

    call_us: Ends
    kernel_us: Ends
    peak_share: Annotated[Ends, AfterValidator(lambda ends: _above_zero(ends))]
    busy_share: Ends
    idle_share: Ends


def _above_zero(ends: tuple[float, float, float]) -> tuple[float, float, float]:
    if ends[0] <= 0:
        raise ValueError("a share of the peak is above 0")
    return ends


class MeasuredGpu(_Part):
    """Content of `measured/<id>.json`.

    Attributes:
        gpu: id of the GPU's profile.
        board: the board and its state.
        idle_w: power of the idle board, W; None where it was not measured.
        constants: constants of eager runs, which reports use.
        timings: the measurements.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal["spikeport-gpu/1"] = Field(default="spikeport-gpu/1", alias="schema")
    gpu: str
    board: Board
    idle_w: Positive | None
    constants: FittedConstants
    timings: tuple[GpuTiming, ...]


def read_measured(path: Path) -> MeasuredGpu:
    """Reads the measurements of a GPU.

    Args:
        path: the file.

    Raises:
        UserError: the file cannot be read, or a key is missing or has a wrong value.
    """
    return _parse(read_small(path, most=2**24), path)


def constants_of(gpu: str, folder: Path = FOLDER) -> LaunchConstants:
    """The constants that were fitted to a GPU, or those of any board where none was measured.

    Args:
        gpu: id of the GPU's profile.
        folder: the folder of the files.

    Raises:
        UserError: the file of this GPU is damaged.
    """
    path = folder / f"{gpu}.json"
    if "/" in gpu or not path.is_file():
        return ANY_BOARD
    content = read_small(path, most=2**24)
    fitted = _parse(content, path).constants
    return LaunchConstants(
        call_us=fitted.call_us,
        kernel_us=fitted.kernel_us,
        peak_share=fitted.peak_share,
        busy_share=fitted.busy_share,
        idle_share=fitted.idle_share,
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _parse(content: bytes, path: Path) -> MeasuredGpu:
    try:
        return MeasuredGpu.model_validate_json(content)
    except ValidationError as error:
        raise UserError(
            explain(error, {}), where=str(path), hint="write it again with benchmarks/gpu_rows.py"
        ) from None
