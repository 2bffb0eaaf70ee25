"""Methods that reach into the teacher's blocks, see `pipeline.distillation.methods`."""

from __future__ import annotations

from spikeport.pipeline.distillation.method_parts import MethodSpec, tet
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.run.sections.fields import NotNegative, PositiveFloat


def block_replacement(
    *, weight: NotNegative = 1.0, tau: PositiveFloat = 2.0, ce_weight: NotNegative = 1.0, always_adapt: bool = True
) -> MethodSpec:
    """Hybrid block-wise replacement (Yang et al., CVPR 2025, arXiv 2503.16572): the student's stages in the teacher.

    Paper (abstract and summaries): firing rates behind each stage of the student pass learned mappings and the rest of
    the teacher; cross entropy and KL on every hybrid output. Reconstruction: which stages are paired (the last with the
    last), 1 x 1 convolutions as mappings. Choice: the mean over hybrids, weights 1, tau 2; surrogate gradients through
    time in place of the paper's rate-based backpropagation.

    Args:
        weight: weight of `block_replacement_kd`.
        tau: temperature.
        ce_weight: weight of the cross entropy of each hybrid.
        always_adapt: whether a 1 x 1 convolution stands between equal numbers of channels too.
    """
    options = {"tau": tau, "ce_weight": ce_weight, "always_adapt": always_adapt}
    return MethodSpec(losses=(tet(0.0), LossSpec(loss="block_replacement_kd", weight=weight, options=options)))
