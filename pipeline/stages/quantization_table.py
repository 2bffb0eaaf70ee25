"""The rounding errors of a network as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeport.tables import text_table

if TYPE_CHECKING:
    from spikeport.pipeline.report.content.report_json import QuantizationRow

HEAD = ("layer", "scale", "threshold", "v_decay", "i_decay", "weight error", "worst row", "became 0", "dead rows",
        "threshold error", "saturated")  # fmt: skip
KEYS = ("name", "scale", "threshold_mant", "v_decay", "i_decay", "weight_error", "row_error", "zeroed", "dead_rows",
        "threshold_error", "saturated")  # fmt: skip


def quantization_lines(rows: list[QuantizationRow]) -> list[str]:
    """The table of rounding errors, and the notes of the layers. Exports of older versions have no errors.

    Args:
        rows: a row for each layer.
    """
    rows_with_loss = [{**row, **row.get("loss", {})} for row in rows]
    notes = [f"note: {row['name']}: {note}" for row in rows for note in row["notes"]]
    return [*text_table(HEAD, [tuple(row.get(key, "") for key in KEYS) for row in rows_with_loss]), *notes]
