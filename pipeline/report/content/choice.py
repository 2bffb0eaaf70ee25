"""What "auto" chose, in report.json and in words."""

from __future__ import annotations

from typing import TypedDict

HEADS = ("Candidate", "Accuracy", "95 % interval", "More than baseline", "At least", "Log-likelihood", "Seconds")


class CandidateJson(TypedDict):
    """One candidate against the baseline; `gain_low` and `likelihood_gain_low` are one-sided lower bounds."""

    name: str
    accuracy: float
    low: float
    high: float
    gain: float
    gain_low: float
    log_likelihood: float
    likelihood_gain: float
    likelihood_gain_low: float | None
    better: bool
    seconds: float


class ChoiceJson(TypedDict):
    """What was chosen and why; `candidates` is empty where nothing was compared."""

    chosen: str
    reason: str
    kind: str
    confidence: float
    recordings: int
    answers: int
    trainings: int
    candidates: list[CandidateJson]
    left_out: dict[str, str]


def cells(row: CandidateJson) -> tuple[str, ...]:
    """A row of the table of candidates.

    Args:
        row: the candidate.
    """
    accuracy, interval = f"{100 * row['accuracy']:.1f} %", f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
    own = row["name"] == "baseline"
    gain = ("", "") if own else (f"{100 * row['gain']:+.1f}", f"{100 * row['gain_low']:+.1f}")
    return row["name"], accuracy, interval, *gain, f"{row['log_likelihood']:.3f}", f"{row['seconds']:.0f}"


def sentences(choice: ChoiceJson) -> list[str]:
    """What was chosen and why, which candidates were left out, and what the numbers are.

    Args:
        choice: the choice.
    """
    found = [f"Chosen: {choice['reason']}."]
    found += [f"{name} was left out: {why}." for name, why in choice["left_out"].items()]
    if choice["candidates"]:
        again = f" ({choice['answers']:,} answers)" if choice["answers"] > choice["recordings"] else ""
        held = (
            "validation recordings, which chose the epochs of each candidate too"
            if choice["kind"] == "validation"
            else ("training and validation recordings, each by a student that was not trained on it")
        )
        found.append(
            f"Answered were {choice['recordings']:,}{again} {held}; {choice['trainings']} "
            f"training{'s' if choice['trainings'] > 1 else ''} of each candidate. Points are more correct recordings "
            f"than with the baseline, with a lower bound of {100 * choice['confidence']:g} % confidence. Test "
            "recordings were not read."
        )
    return found
