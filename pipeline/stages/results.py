"""What each stage found, as values: `to_json` makes the entry `result` of the manifest, `from_json` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.readout import SILENT
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
    """What a stage found."""

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
            Which of the labelled recordings are classified correctly.
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
    """What the stage `data` found.

    Attributes:
        facts: sizes, classes, events and splits of the data set, as `spikeport data info` prints them.
        test_labels: classes of the test recordings.
        test_set_digest: digest of the test recordings in their order.
        held_out_keys: digests of the recordings that neither teacher nor student trained on.
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
    """What the stage `teacher` found.

    Attributes:
        predictions: of the test recordings' images, or of the recordings themselves by a spiking teacher; Missing where
            there is no teacher or the recordings have no images.
        findings: what is wrong with the teacher.
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
    """What a stage found that trained a student: `simulator`, `pretrain`, `student-...`, `quantized-...`.

    Attributes:
        predictions: of the test recordings.
        findings: what is wrong with the student.
    """

    predictions: Predictions
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> StudentJson:
        """`{predicted, silent, findings}`."""
        return {**self.predictions.to_json(), "findings": [finding.to_json() for finding in self.findings]}

    @classmethod
    def from_json(cls, value: StudentJson) -> StudentResult:
        """The result that `to_json` wrote."""
        return cls(predictions=Predictions.from_json(value), findings=findings_of(value))


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """What the stage `synthesis` found.

    Attributes:
        weights: number of weights of the translator from images to events.
    """

    weights: int

    def to_json(self) -> dict[str, int]:
        """`{weights}`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What the stage `export` found.

    Attributes:
        quantization: what quantizing each layer cost.
    """

    quantization: tuple[LayerReport, ...]

    def to_json(self) -> ExportJson:
        """`{quantization}`, a row a layer."""
        return {"quantization": quantization_rows(self.quantization)}


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """What the stage `simulate` found.

    Attributes:
        predictions: of the test recordings, by the integer reference.
        samples: number of recordings.
        seconds: how long the simulation took.
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
    """What the stage `profile` found.

    Attributes:
        values: `samples`, `silent`, `layers`, `energy`, `ann_macs`, `early`, `baseline`, as report.json has them.
    """

    values: ProfileValues

    def to_json(self) -> ProfileValues:
        """The values."""
        return self.values


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """What the stage `report` found.

    Attributes:
        summary: the report's first sentence.
    """

    summary: str

    def to_json(self) -> dict[str, str]:
        """`{summary}`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """What a stage hands to the runner.

    Attributes:
        result: what it found.
        files: names of the files that it wrote into the run's folder.
    """

    result: StageResult
    files: tuple[str, ...] = field(default=())


def findings_of(value: StudentJson | NoTeacherJson) -> tuple[Finding, ...]:
    """Findings in a stage's result; none in that of an older version.

    Args:
        value: result of a stage in JSON. Results of older versions have no findings.
    """
    return tuple(Finding(**row) for row in value.get("findings", ()))


def quantization_rows(layers: Iterable[LayerReport]) -> list[QuantizationRow]:
    """Rounding errors of each layer in JSON values.

    Args:
        layers: reports of `quantize`.
    """
    rows: list[Any] = [asdict(row) for row in layers]
    return rows
