"""What the stage `check` found: the quantized student, the integer reference and Lava, compared spike by spike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeport.export.backends.compare import SpikeComparison
from spikeport.pipeline.stages.results import JsonObject
from spikeport.values import Missing

if TYPE_CHECKING:
    import numpy as np

    from spikeport.export.network.sampling import Drawn


@dataclass(frozen=True, kw_only=True)
class LavaComparison:
    """The reference against Lava on recordings of the test set.

    Attributes:
        spikes: the comparison, layer by layer.
        rows: which test recordings went through Lava, ascending.
        drawn: how they were drawn, `{rows, of, seed, classes}`; None where an older version took the first ones.
        predicted: their classes in Lava.
    """

    spikes: SpikeComparison
    rows: tuple[int, ...]
    drawn: JsonObject | None
    predicted: tuple[int, ...]

    @classmethod
    def of(cls, spikes: SpikeComparison, predicted: np.ndarray, drawn: Drawn) -> LavaComparison:
        """The comparison `spikes` on the recordings `drawn`, with their classes int64 `[n]`."""
        rows = tuple(map(int, drawn.rows))
        return cls(spikes=spikes, rows=rows, drawn=drawn.as_dict(), predicted=tuple(map(int, predicted)))


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What the stage `check` found. Prints as a line a comparison.

    Attributes:
        quantized_vs_reference: the quantized student in PyTorch against the integer reference, on every test recording;
            Missing where it was left out.
        reference_vs_lava: the reference against Lava; Missing where Lava was left out.
    """

    quantized_vs_reference: SpikeComparison | Missing
    reference_vs_lava: LavaComparison | Missing

    @property
    def mismatches(self) -> int:
        """Number of spikes that differ, in both comparisons."""
        quantized, lava = self.quantized_vs_reference, self.reference_vs_lava
        first = 0 if isinstance(quantized, Missing) else quantized.mismatches
        return first + (0 if isinstance(lava, Missing) else lava.spikes.mismatches)

    @property
    def lava_rows(self) -> tuple[int, ...]:
        """Which test recordings went through Lava."""
        return () if isinstance(self.reference_vs_lava, Missing) else self.reference_vs_lava.rows

    def comparisons(self) -> JsonObject:
        """Both comparisons for a report: each `{samples, layers, ...}`, or the reason why there is none."""
        lava = self.reference_vs_lava
        row: Any = lava.reason if isinstance(lava, Missing) else lava.spikes.to_json()
        if not isinstance(lava, Missing) and lava.drawn is not None:
            row = {**row, "drawn": lava.drawn}
        first = self.quantized_vs_reference
        quantized = first.reason if isinstance(first, Missing) else first.to_json()
        return {"quantized_vs_reference": quantized, "reference_vs_lava": row}

    def to_json(self) -> JsonObject:
        """The comparisons, and `lava_predicted`."""
        lava = self.reference_vs_lava
        predicted = None if isinstance(lava, Missing) else list(lava.predicted)
        return {**self.comparisons(), "lava_predicted": predicted}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CheckResult:
        """The result that `to_json` wrote."""
        row, predicted = value["reference_vs_lava"], value["lava_predicted"]
        lava: LavaComparison | Missing
        if isinstance(row, str):
            lava = Missing(row)
        else:
            drawn, classes = row.get("drawn"), tuple(predicted)
            rows = tuple(range(len(classes))) if drawn is None else tuple(drawn["rows"])
            spikes = SpikeComparison.from_json(row)
            lava = LavaComparison(spikes=spikes, rows=rows, drawn=drawn, predicted=classes)
        first = value["quantized_vs_reference"]
        quantized = Missing(first) if isinstance(first, str) else SpikeComparison.from_json(first)
        return cls(quantized_vs_reference=quantized, reference_vs_lava=lava)

    def lines(self) -> list[str]:
        """The comparisons as text for people."""
        from spikeport.export.network.sampling import words

        first, lava = self.quantized_vs_reference, self.reference_vs_lava
        lines = (
            [f"quantized against reference: not compared, {first.reason}"]
            if isinstance(first, Missing)
            else (first.describe())
        )
        if isinstance(lava, Missing):
            return [*lines, f"reference against lava: not compared, {lava.reason}"]
        counts, *divergence = lava.spikes.describe()
        return [*lines, counts + (f"; {words(lava.drawn)}" if lava.drawn else ""), *divergence]

    def __repr__(self) -> str:
        return "\n".join(["CheckResult:", *(f"  {line}" for line in self.lines())])
