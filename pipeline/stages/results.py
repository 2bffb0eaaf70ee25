"""Results of the stages: `to_json` makes the entry `result` of the manifest, `from_json` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.readout import SILENT
from spikeport.pipeline.run.gap import LayerGap
from spikeport.pipeline.run.health import Finding
from spikeport.values import Missing

if TYPE_CHECKING:
    import numpy as np

    from spikeport.export.quantization.layer_report import LayerReport
    from spikeport.pipeline.report.content.report_json import QuantizationRow
    from spikeport.pipeline.stages.result_json import (
        DataJson,
        ExportJson,
        NoTeacherJson,
        PredictionsJson,
        ProfileValues,
        SimulationJson,
        StudentJson,
    )


class StageResult(Protocol):
    """Base of the results of stages."""

    def to_json(self) -> Mapping[str, object]:
        """The entry `result` of the stage in the manifest."""
        ...


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predicted classes of the test recordings.

    Attributes:
        classes: one class a recording, in the order of the test set; -1 for a recording without an output spike.
        silent: number of recordings without an output spike; None where a version of Spikeport that took them for
            class 0 wrote the manifest.
    """

    classes: tuple[int, ...]
    silent: int | None

    @classmethod
    def of(cls, classes: np.ndarray) -> Predictions:
        """The predictions of an array of classes.

        Args:
            classes: int64 `[N]`.
        """
        found = tuple(map(int, classes))
        return cls(classes=found, silent=sum(each == SILENT for each in found))

    def correctness(self, labels: Any) -> Correctness:
        """Compares the predictions with labels.

        Args:
            labels: int64 `[N]`.

        Returns:
            Which of the labeled recordings are classified correctly.
        """
        return compare_with_labels(labels, self.classes, silent_known=self.silent is not None)

    def to_json(self) -> PredictionsJson:
        """`{predicted, silent}`."""
        found: PredictionsJson = {"predicted": list(self.classes)}
        if self.silent is not None:
            found["silent"] = self.silent
        return found

    @classmethod
    def from_json(cls, value: PredictionsJson) -> Predictions:
        """The predictions that `to_json` wrote."""
        return cls(classes=tuple(value["predicted"]), silent=value.get("silent"))


@dataclass(frozen=True, kw_only=True)
class DataResult:
    """Result of the stage `data`.

    Attributes:
        facts: sizes, classes, events and splits of the data set, as `spikeport data info` prints them.
        test_labels: classes of the test recordings.
        test_set_digest: digest of the test recordings in their order.
        held_out_keys: digests of the recordings on which neither teacher nor student was trained.
    """

    facts: Mapping[str, object]
    test_labels: tuple[int, ...]
    test_set_digest: str = ""
    held_out_keys: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The facts, and the other attributes as keys beside them."""
        return {
            **self.facts,
            "test_labels": list(self.test_labels),
            "test_set_digest": self.test_set_digest,
            "held_out_keys": list(self.held_out_keys),
        }

    @classmethod
    def from_json(cls, value: DataJson) -> DataResult:
        """The result that `to_json` wrote."""
        own = {"test_labels", "test_set_digest", "held_out_keys"}
        return cls(
            facts={key: entry for key, entry in value.items() if key not in own},
            test_labels=tuple(value["test_labels"]),
            test_set_digest=value.get("test_set_digest", ""),
            held_out_keys=tuple(value.get("held_out_keys", ())),
        )


@dataclass(frozen=True, kw_only=True)
class TeacherResult:
    """Result of the stage `teacher`.

    Attributes:
        predictions: classes of the images of the test recordings, or of the recordings by a spiking teacher; Missing if
            there is no teacher or the recordings have no images.
        findings: faults of the teacher.
    """

    predictions: Predictions | Missing
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> StudentJson | NoTeacherJson:
        """`{predicted, silent, findings}`, or `{predicted: None, reason, findings}`."""
        known, findings = self.predictions, [finding.to_json() for finding in self.findings]
        if isinstance(known, Missing):
            return {"predicted": None, "reason": known.reason, "findings": findings}
        return {**known.to_json(), "findings": findings}

    @classmethod
    def from_json(cls, value: StudentJson | NoTeacherJson) -> TeacherResult:
        """The result that `to_json` wrote."""
        if value["predicted"] is None:  # mypy tells the two forms apart by this key, pyright does not
            reason = value["reason"]  # pyright: ignore[reportGeneralTypeIssues]
            return cls(predictions=Missing(reason), findings=findings_of(value))
        predictions = Predictions.from_json(value)  # pyright: ignore[reportArgumentType]
        return cls(predictions=predictions, findings=findings_of(value))


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """Result of a stage that trained a student: `simulator`, `pretrain`, `student-...` or `quantized-...`.

    Attributes:
        predictions: classes of the test recordings.
        findings: faults of the student.
        gap: how far synthetic events are from recordings in its layers; empty without synthetic events.
    """

    predictions: Predictions
    findings: tuple[Finding, ...] = ()
    gap: tuple[LayerGap, ...] = ()

    def to_json(self) -> StudentJson:
        """`{predicted, silent, findings, gap}`; without `gap` where there is none."""
        found: StudentJson = {
            **self.predictions.to_json(),
            "findings": [finding.to_json() for finding in self.findings],
        }
        return {**found, "gap": [asdict(layer) for layer in self.gap]} if self.gap else found

    @classmethod
    def from_json(cls, value: StudentJson) -> StudentResult:
        """The result that `to_json` wrote."""
        gap = tuple(LayerGap(**layer) for layer in value.get("gap", []))
        return cls(predictions=Predictions.from_json(value), findings=findings_of(value), gap=gap)


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """Result of the stage `synthesis`.

    Attributes:
        weights: number of weights of the translator from images to events, or of numbers of the motion.
        distances: of a motion, the distance of its events from the recordings by group of statistics; else empty.
    """

    weights: int
    distances: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """`{weights, distances}`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Result of the stage `export`.

    Attributes:
        quantization: rounding errors of each layer.
    """

    quantization: tuple[LayerReport, ...]

    def to_json(self) -> ExportJson:
        """`{quantization}`, a row a layer."""
        return {"quantization": quantization_rows(self.quantization)}


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """Result of the stage `simulate`.

    Attributes:
        predictions: classes of the test recordings, by the integer reference.
        samples: number of recordings.
        seconds: duration of the simulation.
    """

    predictions: Predictions
    samples: int
    seconds: float

    def to_json(self) -> SimulationJson:
        """`{predicted, silent, samples, seconds}`."""
        return {**self.predictions.to_json(), "samples": self.samples, "seconds": self.seconds}

    @classmethod
    def from_json(cls, value: SimulationJson) -> SimulationResult:
        """The result that `to_json` wrote."""
        return cls(predictions=Predictions.from_json(value), samples=value["samples"], seconds=value["seconds"])


@dataclass(frozen=True, kw_only=True)
class ProfileResult:
    """Result of the stage `profile`.

    Attributes:
        values: see `ProfileValues`; the keys are those of report.json.
    """

    values: ProfileValues

    def to_json(self) -> ProfileValues:
        """The values."""
        return self.values


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """Result of the stage `report`.

    Attributes:
        summary: first sentence of the report.
    """

    summary: str

    def to_json(self) -> dict[str, str]:
        """`{summary}`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """Output of a stage.

    Attributes:
        result: the result.
        files: names of the files that it wrote into the run folder.
        started_from: weights of another run that its training began with, in words; "" for none.
    """

    result: StageResult
    files: tuple[str, ...] = field(default=())
    started_from: str = ""


def findings_of(value: StudentJson | NoTeacherJson) -> tuple[Finding, ...]:
    """Findings in the result of a stage; empty for results of older versions.

    Args:
        value: result of a stage in JSON.
    """
    return tuple(Finding(**row) for row in value.get("findings", ()))


def quantization_rows(layers: Iterable[LayerReport]) -> list[QuantizationRow]:
    """Rounding errors of each layer in JSON values.

    Args:
        layers: reports of `quantize`.
    """
    rows: list[Any] = [asdict(row) for row in layers]
    return rows
