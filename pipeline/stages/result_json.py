"""The types of the entries `result` in the manifest, as typed dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.baseline.rows import BaselineRow
    from spikeport.pipeline.profiling.counts import LayerMeansJson
    from spikeport.pipeline.profiling.early_exit import EarlyExit
    from spikeport.pipeline.report.content.energy_json import EnergyRow
    from spikeport.pipeline.report.content.report_json import QuantizationRow
    from spikeport.pipeline.run.health import FindingJson
    from spikeport.pipeline.run.intervals import Accuracy


class PredictionsJson(TypedDict):
    """`Predictions` as JSON; without `silent` where silent recordings were taken for class 0."""

    predicted: list[int]
    silent: NotRequired[int]


class StudentJson(PredictionsJson):
    """`StudentResult` as JSON; older versions have no findings."""

    findings: NotRequired[list[FindingJson]]
    gap: NotRequired[list[dict[str, Any]]]


class NoTeacherJson(TypedDict):
    """`TeacherResult` as JSON where there are no predictions."""

    predicted: None
    reason: str
    findings: NotRequired[list[FindingJson]]


class SimulationJson(PredictionsJson):
    """`SimulationResult` as JSON."""

    samples: int
    seconds: float


class DataJson(TypedDict):
    """`DataResult` as JSON; the facts of `spikeport data info` are further keys of the same object."""

    test_labels: list[int]
    test_set_digest: NotRequired[str]
    held_out_keys: NotRequired[list[str]]


class ExportJson(TypedDict):
    """`ExportResult` as JSON."""

    quantization: list[QuantizationRow]


class CountsJson(TypedDict):
    """Counts of a network and its energy on each device: `TraceProfile` as JSON."""

    samples: int
    silent: int
    layers: list[LayerMeansJson]
    energy: list[EnergyRow]
    ann_macs: int


class ProfileValues(CountsJson):
    """Result of the stage `profile`.

    Attributes:
        accuracy: of a network on labeled frames; the accuracies of a run are in other stages.
        early_exit: accuracy after fewer steps; older versions have none.
        baseline: ANNs that the network is compared with.
        events_clipped: events of the frames that were lost by clipping; only where it was asked for.
    """

    accuracy: NotRequired[Accuracy]
    early_exit: NotRequired[EarlyExit]
    baseline: list[BaselineRow]
    events_clipped: NotRequired[int]
