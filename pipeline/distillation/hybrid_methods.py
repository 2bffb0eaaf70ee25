"""CKD and its relatives: methods with a hybrid stream of static images that recordings replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from spikeport.errors import UserError
from spikeport.pipeline.distillation.method_parts import KdMode, MethodSpec, tet
from spikeport.pipeline.run.sections.distillation import LossSpec, Schedule
from spikeport.pipeline.run.sections.fields import Fraction, NotNegative, PositiveFloat


def ckd(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 4.0,
    kd_mode: KdMode = "mean",
    mask_replaced: bool = False,
    phase: Literal["cosine", "logistic", "step", "constant"] = "cosine",
    phase_start: NotNegative = 0.42,
    phase_end: NotNegative = 0.58,
    cka_weight: NotNegative = 0.5,
    cka_learnable: bool = True,
    cka_debiased: bool = False,
    cka_closed_loop: bool = False,
    cka_target: Fraction = 0.5,
    cka_gain: PositiveFloat = 0.1,
    max_alpha: Fraction = 0.9,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """CKD (Ye et al., ICME 2025, arXiv 2507.09269): he2024, and a teacher's logits on the hybrid stream.

    Paper: the losses and their streams (the teacher never acts on the event stream), the three phases of its weight.
    Reconstruction: everything of he2024; the places of the phases were measured on a drawing. Choice: tau, the mean
    over time, alpha at most 0.9. Defaults are the published settings; on small batches use `cka_debiased`.

    Args:
        kd_weight: weight of the logit distillation.
        tau: temperature of the logit distillation.
        kd_mode: logits that are compared: their mean over time, those of each step, or those of the last step.
        mask_replaced: whether samples of the hybrid stream count by their share of frames that are not events.
        phase: shape of the schedule of kd_weight.
        phase_start: start of the schedule, as a share of the training.
        phase_end: end of the schedule, as a share of the training.
        cka_weight: weight of the CKA alignment.
        cka_learnable: whether the weights a_t of the time steps are trained; else they are 1.
        cka_debiased: whether CKA has its debiased form.
        cka_closed_loop: whether the weights a_t are regulated by the measured CKA, in place of `cka_learnable`.
        cka_target: CKA below which they rise and above which they fall.
        cka_gain: change of a weight in one training step for a deviation of 1.
        max_alpha: upper bound of a_t.
        tet_mse_weight: share of the MSE term of TET.

    Raises:
        UserError: the schedule ends before it starts.
    """
    if phase_end < phase_start:
        raise UserError(
            f"phase_end = {phase_end} is below phase_start = {phase_start}",
            where="distillation.options",
            hint="both are shares of the training, the start first",
        )
    base = he2024(
        cka_weight=cka_weight,
        cka_learnable=cka_learnable,
        cka_debiased=cka_debiased,
        cka_closed_loop=cka_closed_loop,
        cka_target=cka_target,
        cka_gain=cka_gain,
        max_alpha=max_alpha,
        tet_mse_weight=tet_mse_weight,
    )
    teacher = LossSpec(
        loss="logit_kd",
        stream="hybrid",
        weight=kd_weight,
        schedule=Schedule(shape=phase, start=phase_start, end=phase_end),
        options={"tau": tau, "mode": kd_mode, "mask_replaced": mask_replaced},
    )
    return MethodSpec(losses=(*base.losses, teacher))


def he2024(
    *,
    cka_weight: NotNegative = 0.5,
    cka_learnable: bool = True,
    cka_debiased: bool = False,
    cka_closed_loop: bool = False,
    cka_target: Fraction = 0.5,
    cka_gain: PositiveFloat = 0.1,
    max_alpha: Fraction = 0.9,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """Knowledge transfer without a teacher (He et al., AAAI 2024, arXiv 2303.13077).

    TET on the hybrid stream and on the events, whose steps have weights 1 - a_t, and CKA alignment of the two streams,
    step by step, with learned a_t. Paper (released code): all of it, biased CKA, weight 0.5 and lambda 1e-3 included.
    Choice: alpha at most 0.9, since the published form lets the optimizer switch the event stream off.

    Args:
        cka_weight: weight of the CKA alignment.
        cka_learnable: whether the weights a_t of the time steps are trained; else they are 1.
        cka_debiased: whether CKA has its debiased form.
        cka_closed_loop: whether the weights a_t are regulated by the measured CKA, in place of `cka_learnable`.
        cka_target: CKA below which they rise and above which they fall.
        cka_gain: change of a weight in one training step for a deviation of 1.
        max_alpha: upper bound of a_t.
        tet_mse_weight: share of the MSE term of TET.
    """
    losses = [tet(tet_mse_weight, "hybrid"), tet(tet_mse_weight, event_weights=True)]
    learned = cka_learnable and not cka_closed_loop
    if cka_weight or learned:  # learned a_t weight the steps of the events also where the alignment has no weight
        coefficients = "closed_loop" if cka_closed_loop else "learnable" if cka_learnable else None
        options = {"debiased": cka_debiased, "max_alpha": max_alpha, "coefficients": coefficients}
        if cka_closed_loop:
            options |= {"target": cka_target, "gain": cka_gain}
        losses.append(LossSpec(loss="cka_alignment", stream="hybrid", weight=cka_weight, options=options))
    return MethodSpec(losses=tuple(losses))


def ckd_events(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    phase: Literal["cosine", "logistic", "step", "constant"] = "cosine",
    cka_weight: NotNegative = 0.1,
    cka_closed_loop: bool = False,
    cka_target: Fraction = 0.5,
    cka_gain: PositiveFloat = 0.1,
    pretrain: bool = False,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """CKD with synthetic events in the hybrid stream and one head for both streams. This project's own variant of CKD.

    Losses, streams and phases are those of `ckd` (arXiv 2507.09269). Choice: `distillation.static` is "synthetic" and
    `distillation.shared_head` true unless the recipe says otherwise; the teacher's logits act at every step, with tau
    2; the alignment is debiased, with a fixed weight 0.1; pretraining on synthetic events.

    Args:
        kd_weight: weight of the logit distillation.
        tau: temperature of the logit distillation.
        phase: shape of the schedule of kd_weight.
        cka_weight: weight of the CKA alignment.
        cka_closed_loop: whether the weights a_t are regulated by the measured CKA, else 1.
        cka_target: CKA below which they rise and above which they fall.
        cka_gain: change of a weight in one training step for a deviation of 1.
        pretrain: whether the student is pretrained on synthetic events, under the teacher's logits.
        tet_mse_weight: share of the MSE term of TET.
    """
    spec = ckd(
        kd_weight=kd_weight,
        tau=tau,
        kd_mode="per_step",
        phase=phase,
        cka_weight=cka_weight,
        cka_learnable=False,
        cka_debiased=True,
        cka_closed_loop=cka_closed_loop,
        cka_target=cka_target,
        cka_gain=cka_gain,
        tet_mse_weight=tet_mse_weight,
    )
    if not pretrain:
        return spec
    kd = {"tau": tau, "mode": "per_step"}
    first = (
        tet(tet_mse_weight, "synthetic"),
        LossSpec(loss="logit_kd", stream="synthetic", weight=kd_weight, options=kd),
    )
    return replace(spec, pretrains=True, pretraining=first)


def tmkt(
    *,
    source_weight: NotNegative = 0.1,
    ratio_weight: NotNegative = 0.1,
    cka_weight: NotNegative = 0.5,
    cka_learnable: bool = True,
    cka_debiased: bool = False,
    max_alpha: Fraction = 0.9,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """TMKT (Xie et al., arXiv 2509.12959 and 2511.12150): he2024 with clips that become events at a random step.

    A hybrid sample is image frames up to a step t* and events from it on. Two auxiliary losses predict which frames are
    events and which share of them. There is no teacher.

    Paper (abstracts, and a public review of the first version): a pair of one class; t* is the first of T steps with
    u_t < p, for u_t uniform in [0, 1), a geometric distribution truncated at T; p follows from an expected mix ratio;
    one objective for the source of each frame and one for the ratio of a sequence. Reconstruction: all of he2024 for
    the other losses (the family's code base); no event at all where no u_t is below p, with probability (1 - p)^T. A
    distribution normalized over the T steps would always have at least (T + 1) / (2 T) events and never begin with
    images. Choice: the ratio is x^power at progress x (`replacement_power`) and `distillation.replacement_unit` is
    "suffix_share" unless the recipe says otherwise; linear heads on the embedding, cross entropy and squared error,
    both weights 0.1.

    Args:
        source_weight: weight of `frame_source`.
        ratio_weight: weight of `mix_ratio`.
        cka_weight: weight of the CKA alignment.
        cka_learnable: whether the weights a_t of the time steps are trained; else they are 1.
        cka_debiased: whether CKA has its debiased form.
        max_alpha: upper bound of a_t.
        tet_mse_weight: share of the MSE term of TET.
    """
    base = he2024(
        cka_weight=cka_weight,
        cka_learnable=cka_learnable,
        cka_debiased=cka_debiased,
        max_alpha=max_alpha,
        tet_mse_weight=tet_mse_weight,
    )
    auxiliary = (
        LossSpec(loss="frame_source", stream="hybrid", weight=source_weight),
        LossSpec(loss="mix_ratio", stream="hybrid", weight=ratio_weight),
    )
    return MethodSpec(losses=(*base.losses, *auxiliary))
