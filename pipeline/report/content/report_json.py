"""Types of report.json: typed dictionaries, so that a report that was read back has the same type as a new one.

A missing part is `{"value": None, "reason": ...}` or `{"reason": ...}`. `report.schema.json` is the JSON Schema of the
same document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.report.content.choice import ChoiceJson
from spikeport.pipeline.report.content.drawn_json import Drawn
from spikeport.pipeline.report.content.elsewhere import Elsewhere
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.equality_json import Equivalence
from spikeport.pipeline.report.content.leaderboard import LeaderboardRow
from spikeport.pipeline.report.content.recall import Recalls
from spikeport.pipeline.run.health import FindingJson
from spikeport.pipeline.run.intervals import PairedDifference

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.early_exit import EarlyExit
    from spikeport.pipeline.report.content.training_json import TrainingsJson
    from spikeport.pipeline.report.content.worst import MistakeJson


class Reason(TypedDict):
    """Replaces a missing part: the reason why it is missing."""

    reason: str


class DrawnRows(TypedDict, total=False):
    """Which recordings a stage read; `rows` alone where they were not drawn at random."""

    rows: list[int]
    of: int
    seed: int
    classes: int


DistillationEffect = dict[str, Any]  # by method: accuracies of its students; and `difference`, or `reason`

StageChange = TypedDict(
    "StageChange",
    {
        "value": float,
        "n": int,
        "low": float,
        "high": float,
        "only_first": int,
        "only_second": int,
        "from": str,
    },
)


class StageAccuracy(TypedDict):
    """Accuracy of one stage.

    Attributes:
        value: share of correct recordings; None where it is not known.
        n: labeled recordings.
        silent: recordings without an output spike.
        low: lower end of Wilson's 95 % interval; None where the recordings were not drawn at random.
        high: upper end of the interval.
        unlabeled: recordings without a label.
        reason: why there is no value, or no interval.
        drawn: how the recordings were drawn, where not all were used.
        change: difference to the preceding stage.
    """

    value: float | None
    n: NotRequired[int]
    silent: NotRequired[int | None]
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    unlabeled: NotRequired[int]
    reason: NotRequired[str]
    drawn: NotRequired[Drawn]
    change: NotRequired[StageChange]


class RunDifference(TypedDict):
    """Accuracy of a run minus accuracy of the first run, on the same recordings.

    Attributes:
        value: the difference of shares; None where it is unknown, with the `reason`.
        n: number of recordings.
        low: lower end of the 95 % interval.
        high: upper end of the interval.
        only_run: recordings that only this run classified correctly.
        only_first: recordings that only the first run classified correctly.
        reason: why the difference is unknown.
    """

    value: float | None
    n: NotRequired[int]
    low: NotRequired[float]
    high: NotRequired[float]
    only_run: NotRequired[int]
    only_first: NotRequired[int]
    reason: NotRequired[str]


class LayerRow(TypedDict):
    """Activity, quantization error and cores of one layer; None where a value is not known.

    See `LayerMeansJson` for the counts and `LayerReport` for the errors. `chip_share` is `cores` over those of a chip.
    """

    name: str
    kind: str
    shape: list[int]
    neurons: int
    weights: int
    spikes_per_sample: float | None
    rate: float | None
    synops_per_sample: float | None
    dense_ops: int
    weight_error: NotRequired[float | None]
    v_decay_error: NotRequired[float | None]
    i_decay_error: NotRequired[float | None]
    saturated: NotRequired[int | None]
    cores: NotRequired[int | None]
    chip_share: NotRequired[float | None]


class QuantizationRow(TypedDict):
    """What quantizing one layer cost: the keys of `LayerReport` that tables show."""

    name: str
    scale: float
    exact: NotRequired[bool]
    weight_error: float | None
    threshold_error: float
    v_decay_error: float | None
    i_decay_error: float | None
    saturated: int | None
    threshold_mant: int
    v_decay: int
    i_decay: int
    notes: list[str]
    loss: NotRequired[dict[str, float]]
    losses: NotRequired[list[str]]


class Duration(TypedDict):
    """Least, median and largest duration of the recordings, µs."""

    least: float
    median: float
    most: float


class Window(TypedDict):
    """Duration of the recordings and the part of them that the frames contain; see `pipeline.data.windows`."""

    duration_us: Duration
    box: dict[str, list[int]]
    window_us: float
    inside: float
    empty_frames: float
    on: float | None
    warnings: list[str]


class DatasetFacts(TypedDict):
    """Facts of a data set. `recordings` is `test` or `given`, and `counts` are sizes by part."""

    name: str
    description: str
    simulated: bool
    recordings: NotRequired[str]
    counts: dict[str, int]
    classes: list[str]
    steps: int
    dt_s: float | None
    fingerprint: str
    window: NotRequired[Window | None]


class DistillationDifference(TypedDict):
    """Paired differences between the run's method and the baseline, by student."""

    student_float: NotRequired[PairedDifference]
    student_quantized: NotRequired[PairedDifference]
    first: str
    second: str
    interval: str


class Confusion(TypedDict):
    """Counts of recordings by label and predicted class.

    Attributes:
        stage: the stage that classified.
        counts: `[K][K]`, rows are labels, columns are predicted classes.
        silent: `[K]`, recordings of each label without an answer.
        recall: recall of each class.
        reason: why there is no matrix.
    """

    stage: NotRequired[str]
    counts: NotRequired[list[list[int]]]
    silent: NotRequired[list[int]]
    recall: NotRequired[Recalls]
    reason: NotRequired[str]


class Warning(FindingJson):
    """A finding of `spikeport.pipeline.run.health`, and the stage that it was found in."""

    stage: str


class PackedFrames(TypedDict):
    """Frames `[T, C, H, W]` as packed bits in base64."""

    shape: list[int]
    packed_bits: str


class SampleJson(TypedDict):
    """One test recording: its frames, its image in base64, and the time steps of each output's spikes."""

    key: str
    label: str
    predicted: str | None
    correct: bool
    steps: int
    events_per_step: list[int]
    frames: PackedFrames
    output: dict[str, list[int]]
    image_png: str | None


class Report(TypedDict):
    """report.json. `comparison` contains accuracies by method, and `difference` or `reason`."""

    schema: str
    name: str
    summary: str
    warnings: NotRequired[list[Warning]]
    method: str
    dataset: DatasetFacts
    accuracy: dict[str, StageAccuracy]
    comparison: DistillationEffect
    choice: NotRequired[ChoiceJson]
    training: NotRequired[TrainingsJson]
    confusion: NotRequired[Confusion]
    equivalence: Equivalence
    layers: list[LayerRow]
    layer_notes: NotRequired[list[str]]
    energy: list[EnergyRow] | Reason
    early_exit: EarlyExit
    baseline: list[BaselineRow] | Reason
    elsewhere: NotRequired[Elsewhere]
    leaderboard: NotRequired[LeaderboardRow]
    not_included: list[str]
    provenance: dict[str, Any]
    samples: list[SampleJson]
    mistakes: NotRequired[list[MistakeJson] | Reason]
