"""The rule of "auto": which candidate replaces the baseline, by answers to recordings that none was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.pipeline.run.intervals import paired_shares, paired_t

BASELINE = "baseline"
_SCALES = (-8.0, 4.0)  # natural logarithms of the scales that are searched


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one candidate answers to held-out recordings.

    Attributes:
        recordings: int64 `[P]`, number of the recording of each answer. A recording may be answered several times.
        labels: int64 `[P]`, its class.
        predicted: int64 `[P]`, the class that the candidate finds; -1 for none.
        counts: int64 `[P, K]`, output spikes of each class.
    """

    recordings: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How one candidate stands against the baseline.

    Attributes:
        accuracy: mean share of correct answers over the recordings.
        gain: accuracy minus that of the baseline.
        gain_low: its one-sided lower bound.
        log_likelihood: mean logarithm of the probability of the true class, after the counts of the candidate are
            scaled by the one number that makes it largest.
        likelihood_gain: the same minus that of the baseline.
        likelihood_gain_low: its one-sided lower bound; None for a single recording.
    """

    accuracy: float
    gain: float
    gain_low: float
    log_likelihood: float
    likelihood_gain: float
    likelihood_gain_low: float | None

    @property
    def by_accuracy(self) -> bool:
        """Whether more recordings are answered correctly than by the baseline, beyond noise."""
        return self.gain > 0 and self.gain_low > 0

    @property
    def better(self) -> bool:
        """Whether the candidate may replace the baseline: its accuracy is higher beyond noise, or not lower while the
        true classes are more probable beyond noise."""
        likelier = self.likelihood_gain_low is not None and self.likelihood_gain_low > 0
        return self.by_accuracy or (self.gain >= 0 and likelier)


def evidence_of(answers: Mapping[str, Answers], confidence: float) -> dict[str, Evidence]:
    """The evidence for each candidate, the baseline among them.

    Answers to one recording are averaged first, so that repeated answers do not count as further recordings.

    Args:
        answers: by candidate, in all of them the same recordings.
        confidence: one-sided confidence of the lower bounds.
    """
    correct = {name: _means(each.predicted == each.labels, each) for name, each in answers.items()}
    likely = {name: _means(log_likelihoods(each.counts, each.labels), each) for name, each in answers.items()}
    found = {}
    for name in answers:
        gain, low = paired_shares(correct[name] - correct[BASELINE], confidence)
        likelihood = paired_t((likely[name] - likely[BASELINE]).tolist(), confidence)
        found[name] = Evidence(
            accuracy=float(correct[name].mean()),
            gain=gain,
            gain_low=low,
            log_likelihood=float(likely[name].mean()),
            likelihood_gain=likelihood["value"],
            likelihood_gain_low=likelihood["low"],
        )
    return found


def _means(values: np.ndarray, answers: Answers) -> np.ndarray:
    """The mean of the values of each recording, in order of their numbers."""
    _, number = np.unique(answers.recordings, return_inverse=True)
    return np.bincount(number, weights=values) / np.bincount(number)


def choose(evidence: Mapping[str, Evidence]) -> str:
    """The candidate that is trained in the end: the best of those that are better than the baseline, else the baseline.

    Args:
        evidence: by candidate.
    """
    better = [name for name, found in evidence.items() if name != BASELINE and found.better]
    if not better:
        return BASELINE
    return max(better, key=lambda name: (evidence[name].accuracy, evidence[name].log_likelihood))


def log_likelihoods(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logarithm of the probability of the true class, the softmax of spike counts times a scale.

    The scale is the one that makes the mean largest, so that sharp or soft answers are no advantage by themselves.

    Args:
        counts: `[P, K]`, output spikes of each class.
        labels: int64 `[P]`.

    Returns:
        float64 `[P]`.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def of(scale: float) -> np.ndarray:
        return log_softmax(np.exp(scale) * counts.astype(float), axis=1)[np.arange(len(labels)), labels]

    best: Any = minimize_scalar(lambda scale: -of(scale).mean(), bounds=_SCALES, method="bounded")
    return of(float(best.x))
