"""Accuracy and silent recordings as lines of text, for the commands `simulate` and `profile`."""

from __future__ import annotations

from spikeport.pipeline.report.content.words import IF_DRAWN, percent_range
from spikeport.pipeline.run.intervals import Accuracy


def answer_lines(
    accuracy: Accuracy | None, samples: int, silent: int, read: str = "", *, whole: bool = True
) -> list[str]:
    """Accuracy and silent recordings of a simulation as text.

    Args:
        accuracy: the accuracy, or the reason why there is none; None without labels.
        samples: number of all samples.
        silent: number of samples without an output spike.
        read: the read-out in brackets, with a leading space; "" for spike counts.
        whole: False if the simulation was stopped early. The finished samples are no random sample, so no interval is
            printed.
    """
    lines = []
    if accuracy is not None and accuracy["value"] is None:
        lines.append(f"accuracy not known: {accuracy['reason']}")
    elif accuracy is not None:
        left_out = accuracy.get("unlabeled", 0)
        text = f"accuracy {100 * (accuracy['value'] or 0.0):.2f} %{read} of {accuracy['n']:,} given recordings"
        text += f" (95 % interval {percent_range(accuracy)}, {IF_DRAWN})" if whole else " that were done in time"
        lines.append(f"{text}; {left_out:,} more are unlabeled (-1)" if left_out else text)
    if silent:
        wrong = "; they count as wrong" if accuracy else ""
        lines.append(f"silent: {silent:,} of {samples:,} recordings gave no output spike{wrong}")
    return lines
