"""An adaptation as a value: the adapted network, and how it compares with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.pipeline.stages.compiled_network import CompiledNetwork
from spikeport.tables import text_of, text_table

if TYPE_CHECKING:
    from spikeport.export.backends.compare import SpikeComparison
    from spikeport.pipeline.adaptation.measure import Measured
    from spikeport.pipeline.run.intervals import Accuracy

SCHEMA = "spikeport-adaptation/1"


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """An adapted network, and how it compares with its source. Prints as a table.

    Attributes:
        files: the files, empty if no folder was named.
        network: the adapted network, which every backend simulates.
        rows: the source, its nearest legal network in float, the same rounded, and the adapted network, each measured
            on the same samples.
        changes: what differs between the source and its nearest legal network.
        factors: by layer, the factor of its weights that matched its rate before the training.
        samples: what the samples of the measurement are, for people.
        mismatches: output spikes in which the trained network and the integer reference differ.
        compared: output spikes that were compared.
        lava: comparison of the reference with Lava; None if it was not asked for.
        notes: what was read from the source.
    """

    files: tuple[Path, ...]
    network: CompiledNetwork
    rows: tuple[Measured, ...]
    changes: tuple[str, ...]
    factors: Mapping[str, float]
    samples: str
    mismatches: int
    compared: int
    lava: SpikeComparison | None
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the trained network, the reference and Lava, if it ran, give the same spikes."""
        return not self.mismatches and (self.lava is None or not self.lava.mismatches)

    def to_json(self) -> dict[str, Any]:
        """The values of adaptation.json, and the paths as `files`."""
        return {"files": [str(file) for file in self.files], **self.values()}

    def values(self) -> dict[str, Any]:
        """The measurement in plain values."""
        lava = None
        if self.lava is not None:
            lava = {"mismatches": self.lava.mismatches, "spikes_compared": self.lava.spikes_compared}
        return {
            "schema": SCHEMA,
            "samples": self.samples,
            "networks": [asdict(row) for row in self.rows],
            "changes": list(self.changes),
            "rate_factors": dict(self.factors),
            "trained_vs_reference": {"mismatches": self.mismatches, "spikes_compared": self.compared},
            "reference_vs_lava": lava,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The measurement as text."""
        lines = [f"changed: {change}" for change in self.changes] + [f"note: {note}" for note in self.notes]
        lines += ["", self.samples, *table_of(self.rows)]
        layers = list(self.rows[-1].rates)
        if layers:
            head = ("spikes per neuron and step", *(row.network for row in self.rows))
            rates = [(name, *(_rate(row.rates.get(name)) for row in self.rows)) for name in layers]
            lines += ["", *text_table(head, rates)]
        lines += ["", f"trained network and reference: {self.mismatches:,} of {self.compared:,} output spikes differ"]
        if self.lava is not None:
            lines.append(
                f"reference and Lava: {self.lava.mismatches:,} of {self.lava.spikes_compared:,} spikes of all layers "
                f"differ, on {self.lava.samples} samples"
            )
        return [*lines, *map(str, self.files)]

    def __repr__(self) -> str:
        return text_of(["Adaptation:", *(f"  {line}" for line in self.lines())])


def table_of(rows: Sequence[Measured]) -> list[str]:
    """Networks beside their source as a table.

    Args:
        rows: the networks, the source first.
    """
    head = ("network", "same class as the source", "accuracy", "output spikes that differ")
    return text_table(
        head,
        [(row.network, _percent(row.agreement), _percent(row.accuracy), _share(row.output_difference)) for row in rows],
    )


def _percent(accuracy: Accuracy) -> str:
    value = accuracy["value"]
    if value is None:
        return accuracy.get("reason", "-")
    return f"{100 * value:.1f} % ({100 * accuracy['low']:.1f}-{100 * accuracy['high']:.1f}) of {accuracy['n']:,}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
