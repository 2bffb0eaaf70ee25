"""Sections of a report's page: their order, their titles in the contents, and when they are shown.

The page of a run shows all of them, with the reason where a part is missing. A profile of a network alone has no
training and often no labels: what it cannot have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikeport.pipeline.report.content.report_json import Report


def _always(_: Report) -> bool:
    return True


def _has(key: str) -> Callable[[Report], bool]:
    """Whether a part is there, and not the reason why it is missing."""

    def there(report: Report) -> bool:
        part = report.get(key)
        return bool(part) and not (isinstance(part, Mapping) and "reason" in part)

    return there


def _accuracy(report: Report) -> bool:
    return any(entry["value"] is not None for entry in report["accuracy"].values())


def _chosen(report: Report) -> bool:
    return "choice" in report  # which has a reason of its own


def _compared(report: Report) -> bool:
    return any(check["mismatches"] is not None for check in report["equivalence"]["comparisons"].values())


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: id of its heading.
        title: in the contents.
        of_profile: whether it has something to show on the page of a network without a training.
        of_run: the same on the page of a run.
    """

    anchor: str
    title: str
    of_profile: Callable[[Report], bool]
    of_run: Callable[[Report], bool] = _always

    @property
    def template(self) -> str:
        """File of its template."""
        return f"{self.anchor.replace('-', '_')}.html.j2"


SECTIONS = (
    Section("energy", "Energy", _always),
    Section("accuracy", "Accuracy", _accuracy),
    Section("comparison", "Distillation", _has("comparison")),
    Section("choice", "Choice", _chosen, _chosen),
    Section("early-exit", "Accuracy over time", _has("early_exit")),
    Section("confusion", "Confusion matrix", _has("confusion")),
    Section("worst", "Worst mistakes", _has("mistakes")),
    Section("samples", "Spikes", _has("samples")),
    Section("equality", "Spike equality", _compared),
    Section("network", "Network", _has("layers"), _has("layers")),
    Section("layers", "Layers", _always),
    Section("training", "Training", _has("training")),
    Section("baseline", "Baseline", _always),
    Section("elsewhere", "Measured elsewhere", _has("elsewhere"), _has("elsewhere")),
    Section("leaderboard", "Leaderboard row", _has("leaderboard"), _has("leaderboard")),
    Section("left-out", "Not included", _always),
    Section("glossary", "Terms", _always),
    Section("provenance", "Reproduction", _always),
)


def sections(report: Report) -> list[Section]:
    """The sections of a page.

    Args:
        report: content of report.json.
    """
    return [each for each in SECTIONS if (each.of_run if report["method"] else each.of_profile)(report)]
