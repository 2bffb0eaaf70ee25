"""The loss of an adaptation: outputs and layer rates of the source, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from spikeport.pipeline.adaptation.module_network import Signals


@dataclass(frozen=True, kw_only=True)
class AdaptationLoss:
    """Weighted sum of an output loss, a class loss and a rate loss.

    Outputs: with c[t] the outputs summed up to step t, the mean over steps of temperature^2 KL(softmax(c_source /
    temperature) || softmax(c / temperature)) (Hinton et al. 2015, arXiv 1503.02531, at every step).
    Class: cross entropy of the outputs of all steps with the class that the source gives.
    Rates: with r the mean spikes of each neuron over time, the squared difference of r, divided by the variance of the
    source's r in this batch, averaged over neurons, samples and layers.

    Attributes:
        pairs: names of the layers of the source and of the adapted network that should fire alike; all but the last.
        temperature: of the softmax.
        classes: weight of the class loss.
        rates: weight of the rate loss.
    """

    pairs: Mapping[str, str]
    temperature: float = 2.0
    classes: float = 1.0
    rates: float = 1.0

    def __call__(self, source: Signals, adapted: Signals) -> dict[str, Tensor]:
        """The parts of the loss; their sum is minimized.

        Args:
            source: what the source gives for a batch.
            adapted: what the adapted network gives for it.
        """
        expected, found = (each.output.cumsum(0) / self.temperature for each in (source, adapted))
        divergence = functional.kl_div(
            found.log_softmax(-1), expected.log_softmax(-1), log_target=True, reduction="none"
        )  # fmt: skip
        parts = {"outputs": self.temperature**2 * divergence.sum(-1).mean()}
        if self.classes:
            theirs, ours = scores(source.output), scores(adapted.output)
            parts["classes"] = self.classes * functional.cross_entropy(ours, theirs.argmax(-1))
        if self.rates and self.pairs:
            differences = [
                rate_difference(source.layers[theirs], adapted.layers[ours]) for theirs, ours in self.pairs.items()
            ]
            parts["layer_rates"] = self.rates * torch.stack(differences).mean()
        return parts


def scores(outputs: Tensor) -> Tensor:
    """Outputs summed over time `[B, K]`, by which `export.network.readout.classify` decides.

    Of classes with equal counts of spikes, the one whose spikes are earlier has more.

    Args:
        outputs: `[T, B, K]`.
    """
    steps = len(outputs)
    weight = 1 - torch.arange(steps, dtype=outputs.dtype, device=outputs.device) / steps**2
    return (outputs * weight.view(-1, 1, 1)).sum(0)


def rate_difference(source: Tensor, adapted: Tensor) -> Tensor:
    """Mean squared difference of the rates of neurons, over the variance of the source's rates.

    Args:
        source: spikes `[T, B, ...]`.
        adapted: spikes of the same shape; more channels than the source's, behind these, are not compared.
    """
    expected, found = source.mean(0), adapted[:, :, : source.shape[2]].mean(0)
    return (found - expected).square().mean() / expected.var(unbiased=False).clamp_min(1e-6)
