"""Methods as sums of their losses, which streams the teacher acts on, and how impossible methods are refused."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation import methods
from spikeport.pipeline.distillation.losses.alignment import CkaAlignment
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.selective_kd import selective_kd
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd
from spikeport.pipeline.distillation.losses.tet import tet
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.distillation.objective import LossValue, Objective, uses_teacher
from spikeport.pipeline.run.sections.distillation import Distillation, LossSpec, Schedule

T, B, K = 3, 6, 4
SIZES = Sizes(steps=T, classes=K, v_threshold=1.0, student_map=(2, 3, 5), student_embedding=30)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stream(seed: int, **changes: object) -> Stream:
    values: dict = {
        "logits": randn(seed, T, B, K),
        "features": randn(seed + 1, T, B, 2, 5),
        "labels": torch.arange(B) % K,
    }
    return Stream(**{**values, **changes})


def teacher() -> TeacherTargets:
    return TeacherTargets(logits=randn(4, B, K))


def step(progress: float = 0.5, **streams: Stream) -> StepInputs:
    held = {
        "hybrid": stream(0, replaced=torch.zeros(T, B, dtype=torch.bool), teacher=teacher()),
        "event": stream(2),
        **streams,
    }
    return StepInputs(streams=held, progress=progress, generator=torch.Generator().manual_seed(9))


def objective(method: str, sizes: Sizes = SIZES, **options: object) -> Objective:
    return Objective(method_spec(Distillation(method=method, options=options)), sizes)


class TestCkd:
    @pytest.mark.parametrize("learnable", [False, True])
    def test_parts_add_up(self, learnable: bool) -> None:
        loss = objective("ckd", kd_weight=0.7, cka_weight=0.3, cka_learnable=learnable)(step())
        parts = loss.parts
        assert parts["hybrid.logit_kd.weight"].item() == pytest.approx(0.7 * 0.5)  # the switch is half done
        expected = (
            parts["hybrid.tet"]
            + 0.35 * parts["hybrid.logit_kd"]
            + parts["event.tet"]
            + 0.3 * parts["hybrid.cka_alignment"]
        )
        torch.testing.assert_close(loss.total.detach().double(), expected.double(), atol=1e-6, rtol=1e-6)
        assert not any(part.requires_grad for part in parts.values())
        if learnable:  # 1 - sigmoid(1) at every step
            torch.testing.assert_close(
                parts["event_weights"].double(), torch.full((T,), 1 - 0.731059).double(), atol=1e-6, rtol=0
            )

    def test_each_part_is_the_function_of_its_own(self) -> None:
        seen = step()
        parts = objective("ckd", tau=3.0, kd_mode="per_step", tet_mse_weight=0.01, cka_learnable=False)(seen).parts
        hybrid, event = seen.streams["hybrid"], seen.streams["event"]
        assert hybrid.teacher is not None
        torch.testing.assert_close(parts["hybrid.tet"], tet(hybrid.logits, hybrid.labels, mse_weight=0.01, target=1))
        torch.testing.assert_close(parts["event.tet"], tet(event.logits, event.labels, mse_weight=0.01, target=1))
        torch.testing.assert_close(
            parts["hybrid.logit_kd"], logit_kd(hybrid.logits, hybrid.teacher.logits, tau=3.0, mode="per_step")
        )
        torch.testing.assert_close(parts["hybrid.cka_alignment"], CkaAlignment(T)(hybrid.features, event.features).loss)

    def test_without_its_extras_it_is_two_cross_entropies(self) -> None:
        seen = step()
        loss = objective("ckd", kd_weight=0.0, cka_weight=0.0, cka_learnable=False, tet_mse_weight=0.0)(seen)
        entropies = [
            torch.stack([torch.nn.functional.cross_entropy(z, one.labels) for z in one.logits]).mean()
            for one in seen.streams.values()
        ]
        torch.testing.assert_close(loss.total, sum(entropies))
        alone = objective("baseline", tet_mse_weight=0.0)(seen)
        torch.testing.assert_close(alone.total, entropies[1])

    def test_learned_coefficients_weigh_events_also_without_alignment(self) -> None:
        """L = TET(zs) + TET(ze, 1 - a_t) with a_t = sigmoid(1) = 0.731059: alignment's weight is not what a_t do."""
        seen = step()
        loss = objective("he2024", cka_weight=0.0, tet_mse_weight=0.0)(seen)
        hybrid, event = (
            torch.stack([torch.nn.functional.cross_entropy(z, one.labels) for z in one.logits]).mean()
            for one in seen.streams.values()
        )
        torch.testing.assert_close(loss.total, hybrid + (1 - 0.7310585786) * event)

    def test_the_teacher_reaches_the_hybrid_stream_only(self) -> None:
        """Indirect: with and without the teacher the event stream has the same gradient, the hybrid another; the
        teacher has none."""
        gradients = {}
        for weight in (0.0, 1.0):
            targets = randn(4, B, K).requires_grad_()
            seen = step()
            for one in seen.streams.values():
                one.logits.requires_grad_()
            taught = stream(0, logits=seen.streams["hybrid"].logits, teacher=TeacherTargets(logits=targets))
            seen = step(hybrid=taught, event=seen.streams["event"])
            objective("ckd", kd_weight=weight, cka_learnable=False)(seen).total.backward()
            gradients[weight] = taught.logits.grad, seen.streams["event"].logits.grad
            assert targets.grad is None
        assert torch.equal(gradients[0.0][1], gradients[1.0][1])
        assert (gradients[0.0][0] - gradients[1.0][0]).abs().min() > 1e-6

    def test_learnable_coefficients_hear_both_losses(self) -> None:
        """d/dc_t of 0.5 a_t D_t + (1 - a_t) E_t, each over T: a (1 - a) (0.5 D_t - E_t) / T."""
        trained, seen = objective("ckd", cka_learnable=True, kd_weight=0.0), step()
        trained(seen).total.backward()
        hybrid, event = seen.streams["hybrid"], seen.streams["event"]
        distance = CkaAlignment(T)(hybrid.features, event.features).distance
        events = [tet(z[None], event.labels, mse_weight=1e-3, target=1.0) for z in event.logits]
        expected = 0.731059 * (1 - 0.731059) * (0.5 * distance - torch.stack(events)) / T
        (coefficients,) = trained.parameters()
        # float32 coefficients among float64 logits
        torch.testing.assert_close(coefficients.grad.double(), expected, atol=1e-6, rtol=0)

    def test_a_closed_loop_takes_no_weight_from_the_events(self) -> None:
        """One measurement: a_t = gain (target - s_t), s_t = 0.9 target + 0.1 CKA_t; the default recipe is unchanged."""
        seen = step()
        parts = objective("ckd", cka_closed_loop=True, cka_target=1.0, cka_gain=0.5)(seen).parts
        hybrid, event = seen.streams["hybrid"], seen.streams["event"]
        distance = CkaAlignment(T)(hybrid.features, event.features).distance
        weights = 0.5 * 0.1 * distance
        torch.testing.assert_close(parts["alignment_weights"].double(), weights, atol=1e-6, rtol=0)
        torch.testing.assert_close(parts["hybrid.cka_alignment"], (weights * distance).mean(), atol=1e-6, rtol=0)
        torch.testing.assert_close(parts["event.tet"], tet(event.logits, event.labels, mse_weight=1e-3, target=1.0))
        assert "event_weights" not in parts
        for method, coefficients in (("ckd", "learnable"), ("ckd-events", None)):
            (alignment,) = (one for one in method_spec(Distillation(method=method)).losses if "cka" in one.loss)
            assert alignment.options == {
                "debiased": method == "ckd-events",
                "max_alpha": 0.9,
                "coefficients": coefficients,
            }

    def test_masking_replaced_slots(self) -> None:
        replaced = torch.zeros(T, B, dtype=torch.bool)
        replaced[:, 2:] = True
        targets = teacher()
        seen = step(hybrid=stream(0, replaced=replaced, teacher=targets))
        parts = objective("ckd", mask_replaced=True)(seen).parts
        logits = seen.streams["hybrid"].logits
        expected = logit_kd(logits[:, :2], targets.logits[:2], tau=4.0, mode="mean")
        torch.testing.assert_close(parts["hybrid.logit_kd"], expected)
        assert parts["hybrid.replaced"].item() == pytest.approx(4 / 6)
        unmasked = objective("ckd", mask_replaced=False)(seen).parts["hybrid.logit_kd"]
        torch.testing.assert_close(unmasked, logit_kd(logits, targets.logits, tau=4.0, mode="mean"))

    def test_at_the_end_it_is_plain_training_of_two_heads(self) -> None:
        """x = 1: nobody asks the teacher, the streams see the same events, nothing is left to align."""
        event = stream(2)
        same = stream(0, features=event.features, replaced=torch.ones(T, B, dtype=torch.bool))
        trained = objective("ckd", cka_learnable=False)
        assert not trained.needs_teacher("hybrid", 1.0)
        assert trained.needs_teacher("hybrid", 0.3)
        assert not trained.needs_teacher("event", 0.3)
        loss = trained(step(1.0, hybrid=same, event=event))
        assert loss.parts["hybrid.logit_kd.weight"].item() == 0
        assert loss.parts["hybrid.cka_alignment"].item() == pytest.approx(0, abs=1e-6)
        heads = [tet(one.logits, one.labels, mse_weight=1e-3, target=1.0) for one in (same, event)]
        torch.testing.assert_close(loss.total, sum(heads), atol=1e-6, rtol=0)

    def test_switching_the_sliding_off_keeps_the_alignment(self) -> None:
        """In the published code that ablation silently drops the alignment (distillation.md 1.1, hazard 3)."""
        settings = Distillation(method="ckd", replacement_unit="never")
        assert [module.loss for module in method_spec(settings).losses] == [
            module.loss for module in method_spec(Distillation(method="ckd")).losses
        ]
        assert "cka_alignment" in {module.loss for module in method_spec(settings).losses}

    def test_a_silent_student_is_finite(self) -> None:
        silent = stream(
            0,
            logits=torch.zeros(T, B, K, requires_grad=True),
            features=torch.zeros(T, B, 5, requires_grad=True),
            teacher=teacher(),
        )
        loss: LossValue = objective("ckd")(step(hybrid=silent, event=silent))
        loss.total.backward()
        assert torch.isfinite(loss.total)
        assert torch.isfinite(silent.logits.grad).all()
        assert not silent.features.grad.any()

    def test_he2024_is_ckd_without_its_teacher(self) -> None:
        seen = step()
        without = objective("ckd", kd_weight=0.0)(seen).total
        torch.testing.assert_close(objective("he2024")(seen).total, without)
        assert not uses_teacher(method_spec(Distillation(method="he2024")))


class TestMethods:
    def test_the_table(self) -> None:
        assert set(METHODS) == {
            "baseline",
            "ckd",
            "he2024",
            "tmkt",
            "seal-kd",
            "ckdsnn",
            "tser",
            "temporal-self",
            "ckd-events",
            "hta",
            "bkdsnn",
            "bsd",
            "sastc",
            "block-replacement",
            "tssd",
            "synthetic-events",
        }
        assert {name for name in METHODS if not uses_teacher(method_spec(Distillation(method=name)))} == {
            "baseline",
            "he2024",
            "tmkt",
            "tssd",
        }
        assert {name for name in METHODS if method_spec(Distillation(method=name)).pretrains} == {"synthetic-events"}

    @pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
    def test_each_docstring_names_what_is_the_papers_and_what_is_a_choice(self, method: object) -> None:
        targets = inspect.getdoc(method) or ""
        assert (
            method is methods.baseline
            or method is methods.synthetic_events
            or ("Choice:" in targets and re.search(r"arXiv \d|AAAI 20", targets))
        )

    def test_tser(self) -> None:
        """(1 - a) CE + a KD - g H with a = 0.5, g = 0.1, tau = 1: 0.342665 (specification 5.1)."""
        targets = TeacherTargets(logits=torch.tensor([[3.0, 1.0]]).log())
        one = Stream(
            logits=torch.zeros(2, 1, 2), features=torch.zeros(2, 1, 3), labels=torch.tensor([0]), teacher=targets
        )
        sizes = Sizes(steps=2, classes=2, v_threshold=1.0)
        loss = objective("tser", sizes, alpha=0.5, gamma=0.1, tau=1.0)(step(event=one))
        assert loss.total.item() == pytest.approx(0.342665, abs=1e-6)  # float32

    def test_seal_kd(self) -> None:
        """CE + alpha times the teacher + beta times the student's other steps; with alpha 0 nobody asks a teacher."""
        one = stream(2, teacher=teacher())
        assert one.teacher is not None
        ce = torch.stack([torch.nn.functional.cross_entropy(z, one.labels) for z in one.logits]).mean()
        taught = selective_kd(one.logits, one.teacher.logits, one.labels, selection="wrong", tau=2.0)
        steps = self_temporal_kd(one.logits, one.labels, teacher="reliable", tau=2.0)
        loss = objective("seal-kd", alpha=0.7, beta=0.4, tau=2.0, selection="wrong")(step(event=one))
        torch.testing.assert_close(loss.total, ce + 0.7 * taught + 0.4 * steps)
        assert not uses_teacher(method_spec(Distillation(method="seal-kd", options={"alpha": 0.0})))

    def test_tmkt_is_he2024_and_two_auxiliary_losses(self) -> None:
        seen = step(
            hybrid=stream(0, embedding=randn(8, T, B, 30), replaced=torch.arange(T)[:, None] >= torch.arange(B) % 4)
        )
        loss = objective("tmkt", source_weight=0.3, ratio_weight=0.7)(seen)
        base = objective("he2024")(seen).total.detach()
        extra = 0.3 * loss.parts["hybrid.frame_source"] + 0.7 * loss.parts["hybrid.mix_ratio"]
        torch.testing.assert_close(loss.total.detach(), base + extra)
        assert min(loss.parts["hybrid.frame_source"], loss.parts["hybrid.mix_ratio"]) > 0.01
        assert Distillation(method="tmkt").replacement_unit == "suffix_share"
        assert Distillation(method="tmkt", replacement_unit="clip").replacement_unit == "clip"

    def test_a_stream_that_is_not_shown_adds_nothing(self) -> None:
        """Pretraining without recordings uses the loss on images only."""
        one = stream(6, teacher=teacher())
        seen = StepInputs(streams={"synthetic": one}, progress=0.0, generator=torch.Generator())
        loss = objective("synthetic-events", tau=2.0)(seen)
        assert one.teacher is not None
        expected = tet(one.logits, one.labels, mse_weight=1e-3, target=1.0) + logit_kd(
            one.logits, one.teacher.logits, tau=2.0
        )
        torch.testing.assert_close(loss.total, expected)
        assert loss.parts["event.tet"].item() == 0


class TestRecipes:
    def test_losses_are_added_to_the_method(self) -> None:
        added = LossSpec(loss="logit_kd", weight=0.25, schedule=Schedule(shape="step", start=0.2, end=0.6))
        settings = Distillation(method="baseline", losses=(added,))
        one = stream(2, teacher=teacher())
        trained = Objective(method_spec(settings), SIZES)
        assert one.teacher is not None
        for progress, weight in ((0.1, 0.25), (0.9, 0.0)):
            loss = trained(step(progress, event=one))
            alone = tet(one.logits, one.labels, mse_weight=1e-3, target=1.0)
            kd = logit_kd(one.logits, one.teacher.logits)
            torch.testing.assert_close(loss.total, alone + weight * kd)
        assert method_spec(settings, "ckd") == method_spec(Distillation(method="ckd"))  # nothing is taken over

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"method": "kd"}, r"'kd' is not a distillation method.*Hint: use one of baseline, ckd"),
            ({"options": {"tau": "hot"}}, r"options: tau = 'hot'.*the options of ckd are kd_weight, tau"),
            ({"method": "tser", "options": {"alpha": 0.0, "gamma": 0.3}}, r"gamma counts beside alpha.*above 0"),
            ({"options": {"heat": 2.0}}, r"unknown key 'heat'.*the options of ckd are"),
            ({"losses": (LossSpec(loss="kd"),)}, r"'kd' is not a loss.*use one of .*logit_kd"),
            (
                {"losses": (LossSpec(loss="logit_kd", options={"tow": 1}),)},
                r"loss 'logit_kd'.*unknown key .tow.*its options",
            ),
            (
                {"losses": (LossSpec(loss="cka_alignment", stream="synthetic"),)},
                r"cannot act on the stream 'synthetic'",
            ),
        ],
    )
    def test_what_cannot_be_is_named(self, settings: dict, message: str) -> None:
        with pytest.raises(UserError, match=message):
            Objective(method_spec(Distillation(**settings)), SIZES)

    def test_what_a_network_has_not_is_named(self) -> None:
        spec = MethodSpec(losses=(LossSpec(loss="logit_kd"),))
        with pytest.raises(UserError, match="the loss 'logit_kd' needs a teacher, and there is none"):
            Objective(spec, SIZES)(step())
