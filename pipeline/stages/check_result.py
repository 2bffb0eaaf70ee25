"""What the stage `check` found: quantized student, integer reference and other backends, compared spike by spike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

from spikeport.export.backends.compare import SpikeComparison, SpikeComparisonJson, pair_key, title_of
from spikeport.export.network.sampling import DrawnJson
from spikeport.tables import text_of
from spikeport.values import Missing

if TYPE_CHECKING:
    import numpy as np

    from spikeport.export.network.sampling import Drawn

QUANTIZED = "quantized"  # the quantized student in PyTorch
REFERENCE = "reference"


class ComparedRecordings(SpikeComparisonJson):
    """A comparison of spikes, and which recordings it was made on where not all were taken."""

    drawn: NotRequired[DrawnJson]


class CheckJson(TypedDict):
    """`CheckResult` as JSON.

    Attributes:
        comparisons: by `pair_key`, a comparison or the reason why there is none.
        predicted: by backend, the class of each recording that it simulated.
    """

    comparisons: dict[str, ComparedRecordings | str]
    predicted: dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class BackendCheck:
    """The reference against another backend on recordings of the test set.

    Attributes:
        spikes: the comparison, layer by layer.
        rows: which test recordings the backend simulated, ascending.
        drawn: how they were drawn, `{rows, of, seed, classes}`; None where an older version took the first ones.
        predicted: their classes in the backend.
    """

    spikes: SpikeComparison
    rows: tuple[int, ...]
    drawn: DrawnJson | None
    predicted: tuple[int, ...]

    @classmethod
    def of(cls, spikes: SpikeComparison, predicted: np.ndarray, drawn: Drawn) -> BackendCheck:
        """The comparison `spikes` on the recordings `drawn`, with their classes int64 `[n]`."""
        rows = tuple(map(int, drawn.rows))
        return cls(spikes=spikes, rows=rows, drawn=drawn.as_dict(), predicted=tuple(map(int, predicted)))

    def to_json(self) -> ComparedRecordings:
        """The comparison with `drawn`; the classes are kept apart."""
        row: ComparedRecordings = {**self.spikes.to_json()}
        if self.drawn is not None:
            row["drawn"] = self.drawn
        return row

    @classmethod
    def from_json(cls, row: ComparedRecordings, predicted: list[int]) -> BackendCheck:
        """The comparison that `to_json` wrote, with the classes."""
        drawn = row.get("drawn")
        rows = tuple(range(len(predicted))) if drawn is None else tuple(drawn["rows"])
        return cls(spikes=SpikeComparison.from_json(row), rows=rows, drawn=drawn, predicted=tuple(predicted))


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What the stage `check` found. Prints as a line a comparison.

    Attributes:
        quantized: the quantized student in PyTorch against the integer reference, on every test recording; Missing
            where it was left out.
        backends: by name of a backend, the reference against it; Missing where it was left out.
    """

    quantized: SpikeComparison | Missing
    backends: Mapping[str, BackendCheck | Missing]

    @property
    def mismatches(self) -> int:
        """Number of entries that differ, in all comparisons."""
        return sum(spikes.mismatches for _, _, spikes in self._pairs() if not isinstance(spikes, Missing))

    def compared(self) -> dict[str, BackendCheck]:
        """The backends that were compared with the reference."""
        return {name: check for name, check in self.backends.items() if not isinstance(check, Missing)}

    def to_json(self) -> CheckJson:
        """The comparisons, and the classes in each backend."""
        rows: dict[str, ComparedRecordings | str] = {
            pair_key(QUANTIZED, REFERENCE): self.quantized.reason
            if isinstance(self.quantized, Missing)
            else {**self.quantized.to_json()}
        }
        for name, check in self.backends.items():
            rows[pair_key(REFERENCE, name)] = check.reason if isinstance(check, Missing) else check.to_json()
        predicted = {name: list(check.predicted) for name, check in self.compared().items()}
        return {"comparisons": rows, "predicted": predicted}

    @classmethod
    def from_json(cls, value: CheckJson) -> CheckResult:
        """The result that `to_json` wrote."""
        rows = dict(value["comparisons"])
        own = rows.pop(pair_key(QUANTIZED, REFERENCE))
        backends: dict[str, BackendCheck | Missing] = {}
        for key, row in rows.items():
            name = key.removeprefix(pair_key(REFERENCE, ""))
            backends[name] = (
                Missing(row) if isinstance(row, str) else BackendCheck.from_json(row, value["predicted"][name])
            )
        return cls(
            quantized=Missing(own) if isinstance(own, str) else SpikeComparison.from_json(own), backends=backends
        )

    def lines(self) -> list[str]:
        """The comparisons as text for people."""
        from spikeport.export.network.sampling import words

        lines = []
        for first, second, spikes in self._pairs():
            if isinstance(spikes, Missing):
                lines.append(f"{title_of(first)} against {title_of(second)}: not compared, {spikes.reason}")
                continue
            counts, *divergence = spikes.describe()
            check = self.compared().get(second)
            lines += [counts + (f"; {words(check.drawn)}" if check and check.drawn else ""), *divergence]
        return lines

    def _pairs(self) -> Iterator[tuple[str, str, SpikeComparison | Missing]]:
        yield QUANTIZED, REFERENCE, self.quantized
        for name, check in self.backends.items():
            yield REFERENCE, name, check if isinstance(check, Missing) else check.spikes

    def __repr__(self) -> str:
        return text_of(["CheckResult:", *(f"  {line}" for line in self.lines())])
