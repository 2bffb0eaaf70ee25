"""The rule of "auto": simulated candidates whose true accuracies are known, and cases that are computed by hand."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp

from spikeport.pipeline.run.intervals import paired_difference, paired_shares, paired_t
from spikeport.pipeline.training.choice_rule import Answers, Evidence, choose, evidence_of, log_likelihoods

CLASSES, SHARED = 4, 0.6  # of the variance of a score, the part that belongs to the recording and not to a training
SCORES = np.random.default_rng(1).normal(size=(40_000, CLASSES))


@cache
def margin_of(accuracy: float) -> float:
    """The lead of the true class with which normal scores are right so often."""
    low, high = -1.0, 6.0
    for _ in range(30):
        middle = (low + high) / 2
        right = np.mean(SCORES[:, 0] + middle > SCORES[:, 1:].max(1))
        low, high = (middle, high) if right < accuracy else (low, middle)
    return low


def answers(seed: int, recordings: int, times: int, accuracies: dict[str, float], scale: float) -> dict[str, Answers]:
    """Candidates of known accuracy on the same recordings; all but the baseline have `scale` times its spikes."""
    rng = np.random.default_rng(seed)
    labels, rows = rng.integers(CLASSES, size=recordings), np.tile(np.arange(recordings), times)
    of_recording, found = rng.normal(size=(recordings, CLASSES)), {}
    for name, accuracy in accuracies.items():
        own = rng.normal(size=(len(rows), CLASSES))
        scores = SHARED**0.5 * of_recording[rows] + (1 - SHARED) ** 0.5 * own
        scores[np.arange(len(rows)), labels[rows]] += margin_of(accuracy)
        counts = np.maximum(0, np.round((1.0 if name == "baseline" else scale) * 5 * (scores + 2))).astype(int)
        found[name] = Answers(recordings=rows, labels=labels[rows], predicted=scores.argmax(1), counts=counts)
    return found


def chosen(recordings: int, times: int, accuracies: dict[str, float], *, scale: float = 1.0, confidence: float = 0.8):
    draws = 120
    names = (
        choose(evidence_of(answers(seed, recordings, times, accuracies, scale), confidence)) for seed in range(draws)
    )
    return {name: count / draws for name, count in Counter(names).items()}


@pytest.mark.parametrize(("recordings", "times", "most"), [(20, 2, 0.2), (60, 2, 0.1), (200, 1, 0.1)])
@pytest.mark.parametrize("scale", [0.6, 1.0, 4.0])
def test_a_worse_candidate_is_seldom_chosen(recordings, times, most, scale):
    """5 points worse, whatever the number of their spikes: soft or sharp answers are no advantage."""
    found = chosen(recordings, times, {"baseline": 0.6, "a": 0.55, "b": 0.55}, scale=scale)
    assert 1 - found["baseline"] < most


def test_ten_points_worse_is_hardly_ever_chosen_even_from_twenty_recordings():
    assert 1 - chosen(20, 2, {"baseline": 0.6, "a": 0.5, "b": 0.5})["baseline"] < 0.06


@pytest.mark.parametrize(("recordings", "times", "least"), [(20, 2, 0.6), (20, 5, 0.85), (60, 2, 0.85), (200, 1, 0.95)])
def test_ten_points_better_is_mostly_chosen(recordings, times, least):
    assert chosen(recordings, times, {"baseline": 0.6, "a": 0.7, "b": 0.6})["a"] > least


def test_equal_candidates_leave_the_baseline_mostly_and_more_confidence_leaves_it_more_often():
    equal = {"baseline": 0.6, "a": 0.6}
    usual, strict = (chosen(60, 2, equal, confidence=level)["baseline"] for level in (0.8, 0.95))
    assert 0.6 < usual < strict


def test_the_bound_of_single_answers_is_bonett_and_prices():
    rng = np.random.default_rng(3)
    for n in (1, 7, 40):
        first, second = rng.random((2, n)) < 0.5
        known = paired_difference(first, second)
        value, low = paired_shares(first.astype(float) - second, 0.975)
        assert value == pytest.approx(known["value"])
        assert low == pytest.approx(known["low"])


def test_the_bound_of_student_has_the_confidence_that_is_asked():
    """Mean 2, deviation 1 over three: t(2, 0.8) = 1.0607 below it."""
    found = paired_t([1.0, 2.0, 3.0], 0.8)
    assert found["low"] == pytest.approx(2 - 1.060660 / 3**0.5, abs=1e-5)


def test_log_likelihoods_are_those_of_the_best_scale_and_do_not_depend_on_it():
    """The best of 4,000 scales that are tried one by one."""
    rng = np.random.default_rng(5)
    labels, counts = rng.integers(3, size=30), rng.integers(0, 9, size=(30, 3))
    counts[np.arange(30), labels] += 2
    tried = np.exp(np.linspace(-8, 4, 4000))[:, None, None] * counts
    scores = tried[:, np.arange(30), labels] - logsumexp(tried, axis=2)
    assert log_likelihoods(counts, labels).mean() == pytest.approx(scores.mean(1).max(), abs=1e-5)
    assert log_likelihoods(7 * counts, labels) == pytest.approx(log_likelihoods(counts, labels), abs=1e-3)


def test_silent_answers_know_nothing():
    found = log_likelihoods(np.zeros((5, 4), int), np.array([0, 1, 2, 3, 0]))
    assert found == pytest.approx(-np.log(4))


def evidence(accuracy: float, gain_low: float, likelihood: float, likelihood_low: float | None) -> Evidence:
    return Evidence(
        accuracy=accuracy, gain=accuracy - 0.5, gain_low=gain_low, log_likelihood=likelihood,
        likelihood_gain=likelihood + 1, likelihood_gain_low=likelihood_low,
    )  # fmt: skip


BASE = evidence(0.5, 0.0, -1.0, None)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, "baseline"),
        ({"a": evidence(0.6, 0.01, -1.2, -0.3)}, "a"),  # by accuracy alone
        ({"a": evidence(0.6, -0.01, -0.9, 0.01)}, "a"),  # accuracy within noise, but the true class is more probable
        ({"a": evidence(0.5, -0.1, -0.9, 0.01)}, "a"),
        ({"a": evidence(0.49, -0.1, -0.5, 0.4)}, "baseline"),  # fewer are right
        ({"a": evidence(0.6, -0.01, -0.9, -0.01)}, "baseline"),
        ({"a": evidence(0.6, -0.01, -0.9, None)}, "baseline"),
        ({"a": evidence(0.6, 0.01, -0.9, 0.1), "b": evidence(0.7, 0.1, -0.9, 0.1)}, "b"),
        ({"a": evidence(0.7, 0.1, -0.8, 0.1), "b": evidence(0.7, 0.1, -0.9, 0.1)}, "a"),  # then the likelihood
        ({"a": evidence(0.9, -0.1, -1.2, -0.3), "b": evidence(0.6, 0.1, -0.9, 0.1)}, "b"),  # of the better ones
    ],
)
def test_which_candidate_replaces_the_baseline(others, expected):
    assert choose({"baseline": BASE, **others}) == expected


def test_answers_to_one_recording_count_once():
    """Ten repeated answers of three recordings are no evidence of thirty."""
    rows, labels = np.arange(3), np.array([0, 1, 2])
    once = Answers(recordings=rows, labels=labels, predicted=np.array([0, 1, 2]), counts=np.eye(3, dtype=int))
    wrong = Answers(
        recordings=rows, labels=labels, predicted=np.array([0, 0, 0]), counts=np.eye(3, dtype=int)[[0, 0, 0]]
    )

    def repeated(one: Answers) -> Answers:
        return Answers(**{name: np.tile(value, (10, 1)) if value.ndim > 1 else np.tile(value, 10)
                          for name, value in vars(one).items()})  # fmt: skip

    single = evidence_of({"baseline": wrong, "a": once}, 0.8)
    many = evidence_of({"baseline": repeated(wrong), "a": repeated(once)}, 0.8)
    assert many["a"].gain == pytest.approx(2 / 3)
    for key, value in vars(single["a"]).items():
        assert getattr(many["a"], key) == pytest.approx(value, abs=1e-4)
