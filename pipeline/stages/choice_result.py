"""Results of the stages that "auto" adds: what was chosen and by what evidence, and stages without work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from spikeport.pipeline.report.content.choice import CandidateJson, ChoiceJson


@dataclass(frozen=True, kw_only=True)
class NotNeeded:
    """Result of a stage that had nothing to do.

    Attributes:
        reason: why.
    """

    reason: str

    def to_json(self) -> dict[str, str]:
        """`{reason}`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ChoiceResult:
    """Result of the stage `choice`.

    Attributes:
        chosen: the method that trains the student.
        reason: why, in a sentence.
        kind: what the recordings were held out as: "folds" of the training and validation recordings, "validation", or
            "none" where nothing was compared.
        confidence: one-sided confidence of the lower bounds.
        recordings: number of recordings that were answered.
        answers: number of answers of each candidate; more than `recordings` where some were answered several times.
        trainings: number of trainings of each candidate.
        candidates: the candidates, the baseline first; empty where nothing was compared.
        left_out: why a candidate was not compared, by its name.
    """

    chosen: str
    reason: str
    kind: Literal["folds", "validation", "none"]
    confidence: float
    recordings: int = 0
    answers: int = 0
    trainings: int = 0
    candidates: Sequence[CandidateJson] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> ChoiceJson:
        """The attributes."""
        return {
            "chosen": self.chosen,
            "reason": self.reason,
            "kind": self.kind,
            "confidence": self.confidence,
            "recordings": self.recordings,
            "answers": self.answers,
            "trainings": self.trainings,
            "candidates": list(self.candidates),
            "left_out": dict(self.left_out),
        }
