"""Reconstructed losses against loops and values by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_inputs import SPEC, randn, row, seeded
from scipy.fft import dctn
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import noisy_logit_kd
from spikeport.pipeline.distillation.losses.reconstructions.adaptive_kl import adaptive_kl
from spikeport.pipeline.distillation.losses.reconstructions.relation_kd import relation_kd
from spikeport.pipeline.distillation.losses.reconstructions.sliced_w2 import sliced_w2
from spikeport.pipeline.distillation.losses.reconstructions.spectral_logit import dct_basis, spectral_logit
from spikeport.pipeline.distillation.losses.reconstructions.spectral_residual import spectral_residual


class TestAdaptiveKl:
    def test_known_values(self) -> None:
        p, q = row(0.75, 0.25).log(), row(0.5, 0.5).log()
        assert adaptive_kl(q, p).item() == pytest.approx(0.137327, abs=SPEC)
        p, q = row(0.6, 0.3, 0.1).log(), row(0.2, 0.5, 0.3).log()
        assert adaptive_kl(q, p).item() == pytest.approx(0.380666, abs=SPEC)

    def test_against_a_loop(self) -> None:
        """Head by hand: classes by descending p until half the mass is there; nobody is sorted in the loss."""
        student, teacher, tau = 2 * randn(1, 3, 2, 5), 2 * randn(2, 2, 5), 1.7
        expected = 0.0
        for t in range(3):
            for b in range(2):
                p, q = ((z / tau).softmax(-1).numpy() for z in (teacher[b], student[t, b]))
                head, mass = set(), 0.0
                for k in sorted(range(5), key=lambda k: -p[k]):
                    if mass < 0.5:
                        head.add(k)
                    mass += p[k]
                gaps = [sum(abs(p[k] - q[k]) for k in range(5) if (k in head) == inside) for inside in (True, False)]
                w = gaps[0] / (gaps[0] + gaps[1] + 1e-8)
                expected += w * (p * np.log(p / q)).sum() + (1 - w) * (q * np.log(q / p)).sum()
        assert adaptive_kl(student, teacher, tau=tau).item() == pytest.approx(tau**2 * expected / 6, rel=1e-12)

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_classes_may_be_renamed_and_it_lies_between_its_halves(self, seed: int) -> None:
        student, teacher = 3 * randn(seed, 2, 3, 6), 3 * randn(seed + 1, 3, 6)
        order = torch.randperm(6, generator=seeded(seed))
        value = adaptive_kl(student, teacher)
        torch.testing.assert_close(adaptive_kl(student[..., order], teacher[..., order]), value)
        single = student[:1, :1], teacher[:1]
        halves = [logit_kd(*single, tau=1.0, divergence=kind).item() for kind in ("fkl", "rkl")]
        assert min(halves) - 1e-12 <= adaptive_kl(*single).item() <= max(halves) + 1e-12

    def test_edges(self) -> None:
        same = randn(3, 2, 4)
        assert adaptive_kl(same, same).item() == pytest.approx(0, abs=1e-12)
        one = torch.zeros(2, 3, 1, requires_grad=True)
        loss = adaptive_kl(one, torch.ones(3, 1))
        loss.backward()
        assert loss.item() == 0
        assert not one.grad.any()
        # uniform p: the first ceil(K / 2) classes are the head, so a gap there alone counts forward
        uniform, student = torch.zeros(1, 4, dtype=torch.float64), row(2, 0, 0, 0)
        q = student.softmax(-1)[0].numpy()
        gaps = [abs(0.25 - q[:2]).sum(), abs(0.25 - q[2:]).sum()]
        w = gaps[0] / sum(gaps)
        expected = w * (0.25 * np.log(0.25 / q)).sum() + (1 - w) * (q * np.log(q / 0.25)).sum()
        assert adaptive_kl(student, uniform).item() == pytest.approx(expected, rel=1e-6)  # eps


class TestRelationKd:
    def test_known_value(self) -> None:
        ours, targets = torch.eye(2), torch.tensor([[1.0, 0], [1, 0]])
        assert relation_kd(ours, targets).item() == pytest.approx(0.5)

    def test_turns_and_scales_change_nothing(self) -> None:
        ours, targets = randn(1, 4, 6), randn(2, 4, 3)
        turn = torch.linalg.qr(randn(3, 6, 6)).Q
        scales = torch.tensor([0.5, 2.0, 3.0, 7.0], dtype=torch.float64)[:, None]
        torch.testing.assert_close(relation_kd(scales * ours @ turn, targets), relation_kd(ours, targets))
        order = [2, 0, 3, 1]
        torch.testing.assert_close(relation_kd(ours[order], targets[order]), relation_kd(ours, targets))

    @pytest.mark.parametrize(("fill", "expected"), [(1.0, 0.0), (0.0, 1.0)])
    def test_one_sample_alone(self, fill: float, expected: float) -> None:
        ours = torch.full((1, 3), fill, requires_grad=True)
        loss = relation_kd(ours, torch.rand(1, 4, generator=seeded()))
        loss.backward()
        assert loss.item() == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(ours.grad, torch.zeros(1, 3), atol=1e-6, rtol=0)


class TestSlicedW2:
    def test_one_dimension_by_hand(self) -> None:
        def points(*values: float) -> Tensor:
            return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)

        assert sliced_w2(points(0), points(1), generator=seeded()).item() == pytest.approx(1.0)
        assert sliced_w2(points(0, 1), points(1, 0), generator=seeded()).item() == 0
        # two points against four: quantiles of (0, 1) at four even ranks are 0, 1/3, 2/3, 1
        assert sliced_w2(points(0, 1), points(0, 0, 0, 0), generator=seeded()).item() == pytest.approx(
            (1 / 9 + 4 / 9 + 1) / 4
        )

    def test_a_shift_in_many_dimensions(self) -> None:
        """E (a d)^2 = |d|^2 / D for a unit direction a: 4 sigma of 20,000 directions."""
        ours, shift = randn(1, 2, 5, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        found = sliced_w2(ours + shift, ours, directions=20_000, generator=seeded(3)).item()
        assert found == pytest.approx(shift.square().sum().item() / 3, rel=0.03)


class TestSpectral:
    def test_the_transform(self) -> None:
        expected = [5, 2.230443, 0, 0.158513]
        found = dct_basis(4) @ torch.tensor([4.0, 3, 2, 1], dtype=torch.float64)
        np.testing.assert_allclose(found, expected, atol=SPEC)
        torch.testing.assert_close(dct_basis(5) @ dct_basis(5).mT, torch.eye(5, dtype=torch.float64))

    def test_by_hand(self) -> None:
        """K = 4, teacher 4 3 2 1 in another order: the student's logits are ordered alike."""
        teacher, student = row(2, 4, 1, 3), row(0, 1, 0, 0)
        ordered = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64) - torch.tensor([4.0, 3, 2, 1], dtype=torch.float64)
        expected = (dct_basis(4)[2:] @ ordered).square().mean()
        torch.testing.assert_close(spectral_logit(student, teacher), expected)
        assert spectral_logit(teacher, teacher).item() == 0
        assert spectral_logit(torch.ones(2, 3, 1), torch.zeros(3, 1)).item() == 0


class TestSpectralResidual:
    def test_gains_of_one_compare_the_maps_themselves(self) -> None:
        ours, targets = randn(1, 2, 3, 4, 5), randn(2, 2, 3, 4, 5)
        found = spectral_residual(ours, targets, torch.ones(4, 5, dtype=torch.float64))
        assert found.item() == pytest.approx(((ours - targets).numpy() ** 2).mean(), rel=1e-12)

    def test_the_transform_is_scipys(self) -> None:
        ours, targets, gains = randn(1, 2, 3, 4, 5), randn(2, 2, 3, 4, 5), randn(3, 4, 5)
        spectra = [dctn(one.numpy(), axes=(2, 3), norm="ortho") for one in (ours, targets)]
        expected = ((gains.numpy() * spectra[0] - spectra[1]) ** 2).mean()
        assert spectral_residual(ours, targets, gains).item() == pytest.approx(expected, rel=1e-12)

    def test_without_the_mean_by_hand(self) -> None:
        """Maps 1 2 6 have the mean 3. Without it they are -2 -1 3, whose squares are 14 in sum; the teacher is 0."""
        ours, gains = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
        gains[0, 0] = 0
        ours = ours.view(1, 1, 1, 3).requires_grad_()
        loss = spectral_residual(ours, torch.zeros(1, 1, 1, 3), gains)
        loss.backward()
        assert loss.item() == pytest.approx(14 / 3)
        np.testing.assert_allclose(ours.grad.ravel(), [-4 / 3, -2 / 3, 2], atol=1e-12)

    def test_shapes_that_do_not_fit(self) -> None:
        for ours, targets, gains in (((2, 3, 4, 5), (2, 3, 4, 5), (5, 4)), ((2, 3, 4, 5), (2, 1, 4, 5), (4, 5))):
            with pytest.raises(UserError, match="do not fit"):
                spectral_residual(torch.zeros(ours), torch.zeros(targets), torch.ones(gains))


@pytest.mark.parametrize(
    "loss", [adaptive_kl, spectral_logit, lambda a, b, **k: noisy_logit_kd(a, b, generator=seeded(), **k)]
)
def test_shapes_that_do_not_fit_are_refused(loss) -> None:
    for student, teacher in (
        ((2, 3, 4), (3, 5)),
        ((2, 3, 4), (2, 4)),
        ((0, 3, 4), (3, 4)),
        ((2, 0, 4), (0, 4)),
    ):
        with pytest.raises(UserError, match="logits"):
            loss(torch.zeros(student), torch.zeros(teacher))
    if loss is not spectral_logit:
        with pytest.raises(UserError, match="temperature"):
            loss(torch.zeros(2, 3, 4), torch.zeros(3, 4), tau=0.0)
