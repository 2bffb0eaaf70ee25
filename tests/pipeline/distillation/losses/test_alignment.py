"""CKA and MMD against NumPy and values that are known from algebra."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_inputs import SPEC, randn
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.alignment import CkaAlignment
from spikeport.pipeline.distillation.losses.similarity import cka, mmd


def rows(*values: tuple[float, ...]) -> Tensor:
    """One batch row a step: [T, 1, K]."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


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
