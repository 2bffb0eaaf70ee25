"""The losses against the specification's numbers, gradients by formula, and edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.feature_kd import feature_distance
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import noisy_logit_kd
from spikeport.pipeline.distillation.losses.reconstructions.adaptive_kl import adaptive_kl
from spikeport.pipeline.distillation.losses.reconstructions.relation_kd import relation_kd
from spikeport.pipeline.distillation.losses.reconstructions.sliced_w2 import sliced_w2
from spikeport.pipeline.distillation.losses.reconstructions.spectral_logit import dct_basis, spectral_logit
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd

LN3 = math.log(3)
SPEC = 5e-7  # the specification prints six decimals


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row(*values: float) -> Tensor:
    """One sample's logits, `[1, K]`."""
    return torch.tensor([values], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


class TestNld:
    Z, TEACHER = row(3, 1, 0, -1, -2), row(1, 2, 0.5, 0, -1)

    def test_without_noise_it_is_logit_kd(self) -> None:
        student, teacher = randn(1, 3, 2, 5), randn(2, 2, 5)
        for mode in ("mean", "per_step"):
            assert torch.equal(
                noisy_logit_kd(student, teacher, generator=seeded(), noise_weight=0.0, mode=mode),
                logit_kd(student, teacher, mode=mode),
            )

    @pytest.mark.parametrize(
        ("variant", "expected"),
        [({}, 0.9133), ({"space": "prob", "scale": "var", "detach_stats": False}, 0.7998)],
        ids=["paper", "code"],
    )
    def test_expectations(self, variant: dict, expected: float) -> None:
        """Over a million draws the specification's values, to its +-0.001; plain distillation gives 0.901701."""
        many = self.Z.expand(1_000_000, 5)
        value = noisy_logit_kd(many, self.TEACHER.expand(1_000_000, 5), generator=seeded(5), **variant)
        assert value.item() == pytest.approx(expected, abs=1e-3)
        assert logit_kd(self.Z, self.TEACHER, mode="mean").item() == pytest.approx(0.901701, abs=SPEC)

    def test_it_is_a_small_penalty_on_the_spread(self) -> None:
        """E = KD + (lambda s)^2 / 2 (1 - |q|^2) to second order."""
        many, teacher = self.Z.expand(400_000, 5), self.TEACHER.expand(400_000, 5)
        q = (self.Z / 2).softmax(-1)
        predicted = (0.1 * self.Z.std()) ** 2 / 2 * (1 - q.square().sum())
        found = noisy_logit_kd(many, teacher, generator=seeded(6)) - logit_kd(self.Z, self.TEACHER, mode="mean")
        assert found.item() == pytest.approx(predicted.item(), rel=0.05)  # third order, and 400,000 draws

    def test_seeds(self) -> None:
        first, again, other = (noisy_logit_kd(self.Z, self.TEACHER, generator=seeded(s)) for s in (1, 1, 2))
        assert first == again != other

    @pytest.mark.parametrize("space", ["logit", "prob"])
    @pytest.mark.parametrize("detach", [True, False])
    @pytest.mark.parametrize("mode", ["mean", "per_step"])
    def test_gradients_sum_to_zero_over_classes(self, space: str, detach: bool, mode: str) -> None:
        student = randn(3, 3, 2, 5).requires_grad_()
        options = {"space": space, "detach_stats": detach, "mode": mode, "noise_weight": 0.3}
        noisy_logit_kd(student, randn(4, 2, 5), generator=seeded(), **options).backward()
        assert student.grad.abs().max() > 1e-3
        torch.testing.assert_close(student.grad.sum(-1), torch.zeros(3, 2, dtype=torch.float64), atol=1e-12, rtol=0)

    def test_the_direct_gradient(self) -> None:
        """Detached, in logit space: tau (q_soft - p) / B."""
        student, tau = randn(3, 1, 2, 5).requires_grad_(), 2.0
        teacher = randn(4, 2, 5)
        noisy_logit_kd(student, teacher, generator=seeded(9)).backward()
        z = student.detach()[0]
        noise = (
            z.mean(-1, keepdim=True)
            + z.std(-1, keepdim=True) * torch.randn(1, 2, 5, generator=seeded(9), dtype=torch.float32).double()
        )
        q = ((z + 0.1 * noise[0]) / tau).softmax(-1)
        expected = tau * (q - (teacher / tau).softmax(-1)) / 2
        torch.testing.assert_close(student.grad[0], expected, atol=1e-6, rtol=1e-6)

    def test_silent_students_and_single_classes_are_finite(self) -> None:
        for shape in ((2, 3, 4), (2, 3, 1)):
            student = torch.zeros(shape, requires_grad=True)
            teacher = torch.randn(shape[1:], generator=seeded())
            loss = noisy_logit_kd(student, teacher, generator=seeded(), detach_stats=False)
            loss.backward()
            torch.testing.assert_close(loss, logit_kd(torch.zeros(shape), teacher, mode="mean"))
            assert torch.isfinite(student.grad).all()


class TestSelfTemporal:
    def test_known_value(self) -> None:
        steps = torch.tensor([[[LN3, 0.0]], [[0.0, LN3]]], dtype=torch.float64)
        assert self_temporal_kd(steps, torch.tensor([0]), tau=1.0).item() == pytest.approx(0.274653, abs=SPEC)

    def test_equal_steps_have_nothing_to_learn(self) -> None:
        steps = randn(1, 1, 3, 4).expand(5, -1, -1)
        assert self_temporal_kd(steps, steps[0].argmax(-1)).item() == pytest.approx(0, abs=1e-12)

    def test_against_a_loop(self) -> None:
        student, labels, tau = randn(2, 4, 5, 3), torch.tensor([0, 1, 2, 0, 1]), 3.0
        for teacher in ("correct_mean", "mean", "last"):
            losses = []
            for b in range(5):
                z = student[:, b].numpy()
                right = [t for t in range(4) if z[t].argmax() == labels[b]]
                said = {"correct_mean": z[right].mean(0) if right else None, "mean": z.mean(0), "last": z[-1]}[teacher]
                if said is None:
                    continue
                p = np.exp(said / tau) / np.exp(said / tau).sum()
                q = np.exp(z / tau) / np.exp(z / tau).sum(1, keepdims=True)
                losses.append((p * np.log(p / q)).sum(1).mean())
            expected = tau**2 * np.mean(losses)
            assert self_temporal_kd(student, labels, teacher=teacher).item() == pytest.approx(expected, rel=1e-10)

    def test_without_a_right_step(self) -> None:
        student = torch.tensor([[[0.0, 2.0]], [[0.0, 1.0]]], dtype=torch.float64)
        label = torch.tensor([0])
        assert self_temporal_kd(student, label).item() == 0
        uniform = logit_kd(student, torch.zeros(1, 2), tau=3.0)
        assert self_temporal_kd(student, label, fallback="uniform").item() == pytest.approx(uniform.item())
        mean = logit_kd(student, student.mean(0), tau=3.0)
        assert self_temporal_kd(student, label, fallback="mean").item() == pytest.approx(mean.item())

    @pytest.mark.parametrize("fallback", ["skip", "uniform", "mean"])
    def test_a_silent_student(self, fallback: str) -> None:
        student = torch.zeros(3, 4, 5, requires_grad=True)
        loss = self_temporal_kd(student, torch.tensor([0, 1, 2, 0]), fallback=fallback)
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert torch.isfinite(student.grad).all()

    def test_the_gradient_is_the_students_alone(self) -> None:
        student, labels = randn(5, 3, 2, 4).requires_grad_(), torch.tensor([1, 3])
        self_temporal_kd(student, labels, teacher="mean", tau=2.0).backward()
        z = student.detach()
        p, q = (z.mean(0) / 2).softmax(-1), (z / 2).softmax(-1)
        torch.testing.assert_close(student.grad, 2 * (q - p) / 6)


class TestFeatures:
    def test_attention_of_different_places_is_two(self) -> None:
        own, said = torch.zeros(1, 2, 1, 3), torch.zeros(1, 5, 1, 3)
        own[0, 1, 0, 0] = 3.0
        said[0, 4, 0, 2] = 0.5
        assert feature_distance(own, said, "attention").item() == pytest.approx(2.0)
        assert feature_distance(said, said, "attention").item() == 0

    def test_cosine_and_mse_by_hand(self) -> None:
        own, said = randn(1, 3, 4, 5), randn(2, 3, 4, 5)
        flat = [one.flatten(1).numpy() for one in (own, said)]
        cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*flat, strict=True)]
        assert feature_distance(own, said, "cosine").item() == pytest.approx(1 - np.mean(cosine))
        assert feature_distance(own, said).item() == pytest.approx(((flat[0] - flat[1]) ** 2).mean())

    @pytest.mark.parametrize(("metric", "expected"), [("cosine", 1.0), ("attention", 1.0)])
    def test_silent_features(self, metric: str, expected: float) -> None:
        own = torch.zeros(2, 3, 2, 5, requires_grad=True)
        loss = feature_distance(own, torch.rand(2, 3, 2, 5, generator=seeded()) + 0.1, metric)
        loss.backward()
        assert loss.item() == pytest.approx(expected)
        assert torch.isfinite(own.grad).all()


class TestRelational:
    def test_known_value(self) -> None:
        own, said = torch.eye(2), torch.tensor([[1.0, 0], [1, 0]])
        assert relation_kd(own, said).item() == pytest.approx(0.5)

    def test_turns_and_scales_change_nothing(self) -> None:
        own, said = randn(1, 4, 6), randn(2, 4, 3)
        turn = torch.linalg.qr(randn(3, 6, 6)).Q
        scales = torch.tensor([0.5, 2.0, 3.0, 7.0], dtype=torch.float64)[:, None]
        torch.testing.assert_close(relation_kd(scales * own @ turn, said), relation_kd(own, said))
        order = [2, 0, 3, 1]
        torch.testing.assert_close(relation_kd(own[order], said[order]), relation_kd(own, said))

    @pytest.mark.parametrize(("fill", "expected"), [(1.0, 0.0), (0.0, 1.0)])
    def test_one_sample_alone(self, fill: float, expected: float) -> None:
        own = torch.full((1, 3), fill, requires_grad=True)
        loss = relation_kd(own, torch.rand(1, 4, generator=seeded()))
        loss.backward()
        assert loss.item() == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(own.grad, torch.zeros(1, 3), atol=1e-6, rtol=0)


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
        own, shift = randn(1, 2, 5, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        found = sliced_w2(own + shift, own, directions=20_000, generator=seeded(3)).item()
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
