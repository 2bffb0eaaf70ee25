"""What the stage `check` found: the quantized student, the integer reference and Lava, compared spike by spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

from spikeport.export.backends.compare import SpikeComparison, SpikeComparisonJson
from spikeport.export.network.sampling import DrawnJson
from spikeport.tables import text_of
from spikeport.values import Missing

if TYPE_CHECKING:
    import numpy as np

    from spikeport.export.network.sampling import Drawn


class ComparedRecordings(SpikeComparisonJson):
    """A comparison of spikes, and which recordings it was made on where not all were taken."""

    drawn: NotRequired[DrawnJson]


class CheckJson(TypedDict):
    """`CheckResult` as JSON: a comparison or the reason why there is none, and the classes in Lava."""

    quantized_vs_reference: SpikeComparisonJson | str
    reference_vs_lava: ComparedRecordings | str
    lava_predicted: list[int] | None


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
    drawn: DrawnJson | None
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

    def comparisons(self) -> dict[str, SpikeComparisonJson | ComparedRecordings | str]:
        """Both comparisons for a report: each `{samples, layers, ...}`, or the reason why there is none."""
        found = self.to_json()
        return {key: found[key] for key in ("quantized_vs_reference", "reference_vs_lava")}

    def to_json(self) -> CheckJson:
        """The comparisons, and `lava_predicted`."""
        lava, first = self.reference_vs_lava, self.quantized_vs_reference
        row: ComparedRecordings | str = lava.reason if isinstance(lava, Missing) else {**lava.spikes.to_json()}
        if not isinstance(row, str) and not isinstance(lava, Missing) and lava.drawn is not None:
            row["drawn"] = lava.drawn
        return {
            "quantized_vs_reference": first.reason if isinstance(first, Missing) else first.to_json(),
            "reference_vs_lava": row,
            "lava_predicted": None if isinstance(lava, Missing) else list(lava.predicted),
        }

    @classmethod
    def from_json(cls, value: CheckJson) -> CheckResult:
        """The result that `to_json` wrote."""
        row, predicted = value["reference_vs_lava"], value["lava_predicted"]
        lava: LavaComparison | Missing
        if isinstance(row, str):
            lava = Missing(row)
        else:
            drawn, classes = row.get("drawn"), tuple(predicted or ())
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
        return text_of(["CheckResult:", *(f"  {line}" for line in self.lines())])
