"""How well a network answered, as lines for people: what `simulate` and `profile` say alike."""

from __future__ import annotations

from spikeport.pipeline.report.content.words import IF_DRAWN, percent_range
from spikeport.pipeline.run.intervals import Accuracy


def answer_lines(
    accuracy: Accuracy | None, samples: int, silent: int, read: str = "", *, whole: bool = True
) -> list[str]:
    """`accuracy`: {value, n, silent, low, high, perhaps unlabelled}, {value: None, reason}, or None where nobody asked.
    `silent` of all `samples` had no output spike. `read`: which read-out, where it is not the usual one. `whole`:
    False where these are the samples that happened to be done: nobody drew them, so they have no interval."""
    lines = []
    if accuracy is not None and accuracy["value"] is None:
        lines.append(f"accuracy not known: {accuracy['reason']}")
    elif accuracy is not None:
        left_out = accuracy.get("unlabelled", 0)
        text = f"accuracy {100 * (accuracy['value'] or 0.0):.2f} %{read} of {accuracy['n']:,} given recordings"
        text += f" (95 % interval {percent_range(accuracy)}, {IF_DRAWN})" if whole else " that were done in time"
        lines.append(f"{text}; {left_out:,} more are unlabelled (-1)" if left_out else text)
    if silent:
        wrong = " and counts as wrong" if accuracy else ""
        lines.append(f"silent: {silent:,} of {samples:,} recordings gave no output spike, which is no answer{wrong}")
    return lines
