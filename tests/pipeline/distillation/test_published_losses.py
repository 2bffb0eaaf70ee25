"""Losses against the numbers and properties of the specification (known from algebra, not from this code)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.alignment import CkaAlignment, cka, mmd
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.tet import tet
from spikeport.pipeline.distillation.replacement import sliding_replacement, static_clip
from spikeport.pipeline.distillation.schedules import phased_weight, replacement_probability, scheduled

LN3 = math.log(3)
SPEC = 5e-7  # the specification prints six decimals


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(*values: tuple[float, ...]) -> Tensor:
    """One batch row a step: [T, 1, K]."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


class TestLogitKd:
    def test_known_values(self) -> None:
        teacher = torch.tensor([[LN3, 0.0]], dtype=torch.float64)
        assert logit_kd(rows((0, 0)), teacher, tau=1).item() == pytest.approx(0.130812, abs=SPEC)
        assert logit_kd(rows((0, 0)), 2 * teacher, tau=2).item() == pytest.approx(0.523248, abs=SPEC)
        two = rows((0, 0), (LN3, 0))
        assert logit_kd(two, teacher, tau=1, mode="per_step").item() == pytest.approx(0.065406, abs=SPEC)
        assert logit_kd(two, teacher, tau=1, mode="mean").item() == pytest.approx(0.030738, abs=SPEC)
        assert logit_kd(rows((0, 0)), teacher, tau=1, divergence="rkl").item() == pytest.approx(0.143841, abs=SPEC)

    def test_known_gradient(self) -> None:
        student = rows((0, 0)).requires_grad_()
        logit_kd(student, torch.tensor([[LN3, 0.0]], dtype=torch.float64), tau=1).backward()
        torch.testing.assert_close(student.grad, rows((-0.25, 0.25)))

    def test_entropy_and_cross_entropy_as_in_tser(self) -> None:
        """(1 - a) CE + a KD - g H with a = 0.5, g = 0.1: 0.342665."""
        student, labels = rows((0, 0), (0, 0)), torch.tensor([0])
        teacher = torch.tensor([[LN3, 0.0]], dtype=torch.float64)
        distilled = logit_kd(student, teacher, tau=1, entropy_weight=0.1 / 0.5)
        total = 0.5 * tet(student, labels, mse_weight=0.0, target=0.0) + 0.5 * distilled
        assert total.item() == pytest.approx(0.342665, abs=SPEC)

    @settings(max_examples=50, deadline=None)
    @given(seed=st.integers(0, 10**6), tau=st.floats(0.5, 8), steps=st.integers(1, 5))
    def test_properties(self, seed: int, tau: float, steps: int) -> None:
        """per_step >= mean; the gradient is tau (q - p) / (T B) and sums to zero; shifts and copies change
        nothing."""
        student, teacher = 3 * randn(seed, steps, 3, 4), 3 * randn(seed + 1, 3, 4)
        student.requires_grad_()
        loss = logit_kd(student, teacher, tau=tau)
        loss.backward()
        p, q = (teacher / tau).softmax(-1), (student.detach() / tau).softmax(-1)
        torch.testing.assert_close(student.grad, tau * (q - p) / (steps * 3))
        torch.testing.assert_close(student.grad.sum(-1), torch.zeros(steps, 3, dtype=torch.float64))
        mean = logit_kd(student, teacher, tau=tau, mode="mean")
        assert loss >= mean - 1e-12
        if steps == 1:
            torch.testing.assert_close(loss, mean)
        torch.testing.assert_close(logit_kd(student + 5, teacher - 3, tau=tau), loss)
        torch.testing.assert_close(logit_kd(student[:, [2, 0, 1]], teacher[[2, 0, 1]], tau=tau), loss)
        torch.testing.assert_close(logit_kd(student.repeat(1, 2, 1), teacher.repeat(2, 1), tau=tau), loss)
        torch.testing.assert_close(logit_kd(teacher, teacher, tau=tau), torch.zeros((), dtype=torch.float64))

    def test_a_spiking_teacher_is_compared_step_by_step(self) -> None:
        student, teacher = randn(0, 3, 2, 4), randn(1, 3, 2, 4)
        steps = [logit_kd(student[t], teacher[t], tau=2) for t in range(3)]
        torch.testing.assert_close(logit_kd(student, teacher, tau=2), torch.stack(steps).mean())

    def test_sample_weights(self) -> None:
        student, teacher = randn(0, 2, 3, 4), randn(1, 3, 4)
        each = [logit_kd(student[:, [b]], teacher[[b]]) for b in range(3)]
        weighted = logit_kd(student, teacher, sample_weight=torch.tensor([1.0, 0.0, 0.5]))
        torch.testing.assert_close(weighted, (each[0] + 0.5 * each[2]) / 1.5)
        small = logit_kd(student, teacher, sample_weight=torch.tensor([0.5, 0.0, 0.0]))
        torch.testing.assert_close(small, 0.5 * each[0])  # divided by 1, not by 0.5
        assert logit_kd(student, teacher, sample_weight=torch.zeros(3)).item() == 0

    def test_edges(self) -> None:
        """One class gives nothing; a silent output layer is finite: tau^2 (ln K - H(p))."""
        student = randn(0, 2, 3, 1).requires_grad_()
        loss = logit_kd(student, randn(1, 3, 1))
        loss.backward()
        assert loss.item() == 0
        assert not student.grad.any()
        teacher = randn(2, 3, 5)
        p = (teacher / 4).softmax(-1)
        expected = 16 * (math.log(5) + (p * p.log()).sum(-1)).mean()
        torch.testing.assert_close(logit_kd(torch.zeros(2, 3, 5, dtype=torch.float64), teacher, tau=4), expected)

    def test_float32_at_least(self) -> None:
        assert logit_kd(randn(0, 2, 3, 4).half(), randn(1, 3, 4).half()).dtype == torch.float32

    def test_the_teacher_gets_no_gradient(self) -> None:
        student, teacher = randn(0, 2, 3, 4).requires_grad_(), randn(1, 3, 4).requires_grad_()
        logit_kd(student, teacher).backward()
        assert teacher.grad is None
        assert student.grad.abs().min() > 0

    @pytest.mark.parametrize(
        ("student", "teacher", "options", "words"),
        [
            ((2, 3, 4), (3, 5), {}, "do not fit"),
            ((2, 3, 4), (2, 4), {}, "do not fit"),
            ((2, 3, 4), (3, 3, 4), {}, "do not fit"),
            ((0, 3, 4), (3, 4), {}, "no empty axis"),
            ((2, 0, 4), (0, 4), {}, "no empty axis"),
            ((2, 3, 4), (3, 4), {"tau": 0.0}, "temperature 0.0 is not positive"),
            ((2, 3, 4), (3, 4), {"mode": "max"}, "use mean, per_step or last"),
            ((2, 3, 4), (3, 4), {"divergence": "js"}, "use fkl, rkl or adaptive"),
        ],
    )
    def test_refusals(self, student: tuple, teacher: tuple, options: dict, words: str) -> None:
        with pytest.raises(UserError, match=words):
            logit_kd(torch.zeros(student), torch.zeros(teacher), **options)


class TestAlignment:
    @pytest.mark.parametrize(("b", "similarity"), [((0, 1, 0), 0.0), ((0, 0, 1), 0.75)])
    def test_known_values(self, b: tuple[int, ...], similarity: float) -> None:
        """One feature, three samples. Tolerance: the published eps of 1e-7 in the denominator."""
        left = torch.tensor([0.0, 1, 2], dtype=torch.float64).view(1, 3, 1)
        right = torch.tensor(b, dtype=torch.float64).view(1, 3, 1)
        assert cka(left, right).item() == pytest.approx(similarity, abs=1e-6)
        alignment = quiet(CkaAlignment(1), left, right)
        assert alignment.loss.item() == pytest.approx(1 - similarity, abs=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 10**6), features=st.sampled_from([2, 3, 5, 9, 40]), debiased=st.booleans())
    def test_against_numpy(self, seed: int, features: int, debiased: bool) -> None:
        """Both ways of computing (by samples, by features) and both estimators: sums written out in NumPy."""
        a, b = randn(seed, 2, 7, features), randn(seed + 1, 2, 7, features + 1)
        found = cka(a, b, debiased=debiased).numpy()
        hsic = unbiased_hsic if debiased else biased_hsic
        for t in range(2):
            k, ell = a[t].numpy() @ a[t].numpy().T, b[t].numpy() @ b[t].numpy().T
            expected = hsic(k, ell) / math.sqrt(hsic(k, k) * hsic(ell, ell))
            assert found[t] == pytest.approx(expected, abs=1e-6)

    def test_invariances(self) -> None:
        a, b = randn(0, 2, 6, 5), randn(1, 2, 6, 5)
        q = torch.linalg.qr(randn(2, 5, 5)).Q
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        for debiased in (False, True):
            value = cka(a, b, debiased=debiased)
            torch.testing.assert_close(cka(3 * a @ q + 7, b, debiased=debiased), value, atol=1e-7, rtol=0)
            torch.testing.assert_close(cka(a[:, order], b[:, order], debiased=debiased), value)
            assert (cka(a @ randn(3, 5, 5), b, debiased=debiased) - value).abs().min() > 1e-3

    @pytest.mark.parametrize(
        ("samples", "width", "biased"), [(32, 512, 0.941), (120, 512, 0.809), (120, 18_432, 0.994)]
    )
    def test_the_published_form_is_biased_and_the_other_is_not(self, samples: int, width: int, biased: float) -> None:
        """Independent features: near one, though they share nothing, and about zero."""
        steps = 2 if width > 1000 else 8
        a, b = randn(0, steps, samples, width), randn(1, steps, samples, width)
        assert cka(a, b).mean().item() == pytest.approx(biased, abs=0.01)
        assert cka(a, b, debiased=True).mean().item() == pytest.approx(0.0, abs=0.05)

    def test_the_gradient_is_scale_free_and_detach_stops_it(self) -> None:
        a, b = randn(0, 3, 6, 2, 4), randn(1, 3, 6, 2, 4)
        a.requires_grad_(), b.requires_grad_()
        CkaAlignment(3)(a, b).loss.backward()
        assert ((a * a.grad).sum((1, 2, 3)).abs() < 1e-7).all()
        assert a.grad.abs().max() > 1e-3 < b.grad.abs().max()
        for detached, free, side in ((a, b, "a"), (b, a, "b")):
            detached.grad, free.grad = None, None
            CkaAlignment(3, detach=side)(a, b).loss.backward()
            assert detached.grad is None
            assert free.grad.abs().max() > 1e-3

    @pytest.mark.parametrize("batch", [1, 2])
    def test_one_and_two_samples(self, batch: int) -> None:
        """One never aligns (loss 1), two always do (loss 0, up to eps); neither gives a gradient, let alone
        NaN."""
        a, b = randn(0, 2, batch, 5).requires_grad_(), randn(1, 2, batch, 5).requires_grad_()
        alignment = quiet(CkaAlignment(2, coefficients=0.6), a, b)
        alignment.loss.backward()
        assert alignment.loss.item() == pytest.approx(0.6 if batch == 1 else 0.0, abs=1e-7)
        assert max(a.grad.abs().max(), b.grad.abs().max()) < 1e-7

    @pytest.mark.parametrize("debiased", [False, True])
    @pytest.mark.parametrize("value", [0.0, 2.5])
    def test_features_that_do_not_vary(self, value: float, debiased: bool) -> None:
        a = torch.full((2, 5, 3), value, dtype=torch.float64, requires_grad=True)
        b = randn(1, 2, 5, 3).requires_grad_()
        alignment = CkaAlignment(2, debiased=debiased)(a, b)
        alignment.loss.backward()
        assert alignment.loss.item() == pytest.approx(1.0, abs=1e-6)
        assert torch.isfinite(a.grad).all()
        if value == 0:
            assert not a.grad.any()
            assert not b.grad.any()

    def test_identical_branches_are_aligned(self) -> None:
        a = randn(0, 2, 5, 3)
        for debiased in (False, True):
            assert CkaAlignment(2, debiased=debiased)(a, a).loss.item() == pytest.approx(0, abs=1e-6)

    def test_coefficients(self) -> None:
        a, b = randn(0, 3, 6, 4), randn(1, 3, 6, 4)
        plain = CkaAlignment(3)(a, b)
        assert plain.alphas is plain.event_weights is None
        torch.testing.assert_close(plain.loss, plain.distance.mean())
        torch.testing.assert_close(CkaAlignment(3, coefficients=0.25)(a, b).loss, 0.25 * plain.loss)
        assert CkaAlignment(3, coefficients=0.99).alphas().tolist() == pytest.approx([0.9] * 3)
        learnable = CkaAlignment(3, coefficients="learnable")
        alignment = learnable(a, b)
        assert alignment.alphas.tolist() == pytest.approx([0.731059] * 3, abs=SPEC)
        assert alignment.event_weights.tolist() == pytest.approx([1 - 0.731059] * 3, abs=SPEC)
        alignment.loss.backward()
        slope = 0.731059 * (1 - 0.731059)
        expected = slope * alignment.distance / 3
        torch.testing.assert_close(learnable.logits.grad.double(), expected, atol=1e-6, rtol=0)
        assert CkaAlignment(3, coefficients="learnable", init=9.0).alphas().max().item() == pytest.approx(0.9)

    def test_a_negative_estimate_counts_as_none(self) -> None:
        a, b = randn(0, 20, 4, 30), randn(1, 20, 4, 30)
        raw = cka(a, b, debiased=True)
        assert raw.min() < -0.01
        torch.testing.assert_close(CkaAlignment(20, debiased=True)(a, b).loss, (1 - raw.clamp(min=0)).mean())
        signed = CkaAlignment(20, debiased=True, absolute=False)(a, b)
        torch.testing.assert_close(signed.loss, (1 - raw).mean())

    def test_small_batches_warn_once(self) -> None:
        alignment = CkaAlignment(1)
        with pytest.warns(UserWarning, match="alignment over 3 samples says nothing"):
            alignment(randn(0, 1, 3, 4), randn(1, 1, 3, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            alignment(randn(0, 1, 3, 4), randn(1, 1, 3, 4))
            CkaAlignment(1)(randn(0, 1, 4, 4), randn(1, 1, 4, 4))

    def test_refusals(self) -> None:
        with pytest.raises(UserError, match="do not fit 2 steps"):
            CkaAlignment(2)(randn(0, 3, 5, 4), randn(1, 3, 5, 4))
        with pytest.raises(UserError, match=r"needs at least 4 samples, got 3.*Hint: use larger batches"):
            quiet(CkaAlignment(2, debiased=True), randn(0, 2, 3, 4), randn(1, 2, 3, 4))


def quiet(alignment: CkaAlignment, a: Tensor, b: Tensor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return alignment(a, b)


def biased_hsic(k: np.ndarray, ell: np.ndarray) -> float:
    h = np.eye(len(k)) - 1 / len(k)
    return float(np.trace(h @ k @ h @ ell))


def unbiased_hsic(k: np.ndarray, ell: np.ndarray) -> float:
    """Song et al. 2012, equation 5, up to the factor 1 / (n (n - 3)) that cancels."""
    n = len(k)
    k, ell = k - np.diag(np.diag(k)), ell - np.diag(np.diag(ell))
    return float(np.trace(k @ ell) + k.sum() * ell.sum() / ((n - 1) * (n - 2)) - 2 * (k @ ell).sum() / (n - 2))


class TestMmd:
    def test_known_value(self) -> None:
        a, b = rows((0.0,)), rows((1.0,))
        assert mmd(a, b, sigma=1.0).item() == pytest.approx(0.786939, abs=SPEC)
        assert mmd(a, b, sigma=2.0).item() == pytest.approx(2 - 2 * math.exp(-1 / 8), abs=1e-12)

    def test_equal_sets_are_no_distance_apart_in_any_order(self) -> None:
        a = randn(0, 3, 5, 2, 4)
        assert mmd(a, a[:, torch.randperm(5)], sigma=1.5).abs().max() < 1e-12  # float64 rounding of three means
        assert (mmd(a, a + 1, sigma=1.5) > 0.1).all()

    def test_against_a_loop(self) -> None:
        a, b = randn(1, 2, 4, 3), randn(2, 2, 5, 3)

        def mean(x: Tensor, y: Tensor) -> float:
            return float(np.mean([math.exp(-float(((p - q) ** 2).sum()) / (2 * 0.7**2)) for p in x for q in y]))

        for step in range(2):
            expected = mean(a[step], a[step]) + mean(b[step], b[step]) - 2 * mean(a[step], b[step])
            assert mmd(a, b, sigma=0.7)[step].item() == pytest.approx(expected, abs=1e-12)

    def test_the_alignment_takes_it(self) -> None:
        a, b = randn(3, 2, 4, 3), randn(4, 2, 4, 3)
        found = CkaAlignment(2, measure="mmd", sigma=0.7, coefficients=0.5)(a, b)
        assert found.loss.item() == pytest.approx(0.5 * mmd(a, b, sigma=0.7).mean().item())


class TestReplacement:
    def clips(self, batch: int = 5) -> tuple[Tensor, Tensor]:
        return randn(0, 4, batch, 2, 3, 6), randn(1, 4, batch, 2, 3, 6)

    @pytest.mark.parametrize("unit", ["clip", "suffix"])
    def test_ends(self, unit: str) -> None:
        """x = 0 replaces nothing, x = 1 everything, and neither touches its input."""
        static, events = self.clips()
        before = static.clone(), events.clone()
        for x, expected in ((0.0, static), (1.0, events)):
            hybrid, mask = sliding_replacement(static, events, x, generator=torch.Generator(), unit=unit)
            assert torch.equal(hybrid, expected)
            assert mask.shape == (4, 5)
            assert bool(mask.all()) == bool(x) == bool(mask.any())
        assert torch.equal(static, before[0])
        assert torch.equal(events, before[1])

    def test_whole_clips_slot_by_slot(self) -> None:
        static, events = self.clips(40)
        hybrid, mask = sliding_replacement(static, events, 0.8, generator=torch.Generator().manual_seed(2))
        assert 0 < mask[0].sum() < 40
        for b in range(40):
            assert torch.equal(hybrid[:, b], (events if mask[0, b] else static)[:, b])
            assert len(set(mask[:, b].tolist())) == 1

    def test_probability(self) -> None:
        expected = {0.0: 0.0, 0.25: 0.015625, 0.5: 0.125, 0.75: 0.421875, 0.9: 0.729, 1.0: 1.0}
        assert {x: pytest.approx(replacement_probability(x)) for x in expected} == expected
        mean = np.mean([replacement_probability((n + 0.5) / 1000) for n in range(1000)])
        assert mean == pytest.approx(0.25, abs=1e-5)  # 1 / (power + 1)
        assert replacement_probability(0.5, power=1) == 0.5

    def test_empirical_rate(self) -> None:
        frames = torch.zeros(1, 100_000, 1, 1, 1)
        _, mask = sliding_replacement(frames, frames, 0.75, generator=torch.Generator().manual_seed(4))
        sigma = math.sqrt(0.421875 * (1 - 0.421875) / 1e5)
        assert abs(mask.float().mean().item() - 0.421875) < 4 * sigma

    @pytest.mark.parametrize("unit", ["clip", "suffix"])
    def test_masks_of_one_seed_are_nested(self, unit: str) -> None:
        static, events = self.clips(50)
        masks = [
            sliding_replacement(static, events, x, generator=torch.Generator().manual_seed(7), unit=unit)[1]
            for x in (0.3, 0.6, 0.6, 0.9)
        ]
        assert torch.equal(masks[1], masks[2])
        assert not (masks[0] & ~masks[1]).any()
        assert not (masks[1] & ~masks[3]).any()
        assert masks[1].sum() < masks[3].sum()
        other = sliding_replacement(static, events, 0.6, generator=torch.Generator().manual_seed(8), unit=unit)
        assert not torch.equal(masks[1], other[1])

    def test_suffix_share(self) -> None:
        """Expected share of events: (1/T) sum_t 1 - (1 - p)^t; once events, events to the end."""
        frames, p = torch.zeros(6, 50_000, 1, 1, 1), 0.3
        generator = torch.Generator().manual_seed(1)
        _, mask = sliding_replacement(frames, frames, p, generator=generator, power=1, unit="suffix")
        assert not (mask[:-1] & ~mask[1:]).any()
        expected = np.mean([1 - (1 - p) ** t for t in range(1, 7)])
        assert mask.float().mean().item() == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(50_000))

    def test_refusals(self) -> None:
        static, events = self.clips()
        with pytest.raises(UserError, match="different shapes"):
            sliding_replacement(static[:, :4], events, 0.5, generator=torch.Generator())
        with pytest.raises(UserError, match="use clip or suffix"):
            sliding_replacement(static, events, 0.5, generator=torch.Generator(), unit="pixel")
        pairs = torch.tensor([0, 1]), torch.tensor([0, 2])
        with pytest.raises(UserError, match="different classes"):
            sliding_replacement(static, events, 0.5, generator=torch.Generator(), labels=pairs)

    def test_static_clips_repeat_the_value_in_both_channels(self) -> None:
        values = randn(0, 5, 3, 6)
        clip = static_clip(values, 4)
        assert clip.shape == (4, 5, 2, 3, 6)
        for t in range(4):
            for channel in range(2):
                assert torch.equal(clip[t, :, channel], values)


class TestPhases:
    def test_known_values(self) -> None:
        for x, w in {0: 1, 0.42: 1, 0.46: 0.8536, 0.5: 0.5, 0.54: 0.1464, 0.58: 0, 1: 0}.items():
            assert phased_weight(x) == pytest.approx(w, abs=5e-5)
        assert phased_weight(0.0) == phased_weight(0.42) == 1.0  # exactly: the plateaus are flat
        assert phased_weight(0.58) == phased_weight(1.0) == 0.0

    @given(
        x=st.floats(0, 1),
        later=st.floats(0, 1),
        edges=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
        shape=st.sampled_from(["cosine", "logistic", "step"]),
    )
    def test_never_rises_and_stays_in_0_1(self, x: float, later: float, edges: list[float], shape: str) -> None:
        first, second = (phased_weight(at, *edges, shape) for at in sorted((x, later)))
        assert 1 >= first >= second >= 0

    def test_edges(self) -> None:
        for shape in ("cosine", "logistic", "step"):
            assert phased_weight(0.29, 0.3, 0.3, shape) == 1
            assert phased_weight(0.3, 0.3, 0.3, shape) == 0
            assert phased_weight(1.0, 1.0, 1.5, shape) == 1
        assert [phased_weight(x, shape="step") for x in (0.42, 0.49, 0.51)] == [1, 1, 0]
        assert phased_weight(0.5, shape="logistic") == pytest.approx(0.5)
        assert phased_weight(0.42, shape="logistic") == pytest.approx(0.99)
        with pytest.raises(UserError, match="use cosine, logistic or step"):
            phased_weight(0.5, shape="square")

    def test_a_term_may_stay_or_rise(self) -> None:
        assert [scheduled(x, "constant", 0.42, 0.58) for x in (0.0, 0.5, 1.0)] == [1, 1, 1]
        assert [scheduled(x, "rise", 0.42, 0.58) for x in (0.42, 0.5, 0.58)] == [0, pytest.approx(0.5), 1]
        assert scheduled(0.46, "cosine", 0.42, 0.58) == phased_weight(0.46)


class TestTet:
    def test_known_value(self) -> None:
        zeros = torch.zeros(3, 4, 2, dtype=torch.float64)
        value = tet(zeros, torch.tensor([0, 1, 1, 0]), mse_weight=1e-3, target=0.5)
        assert value.item() == pytest.approx(0.692704, abs=SPEC)

    def test_against_a_loop(self) -> None:
        logits, labels, weights = randn(0, 3, 4, 5), torch.tensor([4, 0, 2, 2]), torch.tensor([0.5, 1.0, 0.25])
        expected = 0.0
        for t in range(3):
            for b in range(4):
                z = logits[t, b].numpy()
                entropy = math.log(np.exp(z).sum()) - z[labels[b]]
                expected += float(weights[t]) * (0.8 * entropy + 0.2 * np.mean((z - 1.5) ** 2)) / 12
        value = tet(logits, labels, mse_weight=0.2, target=1.5, step_weights=weights.double())
        assert value.item() == pytest.approx(expected, abs=1e-12)
