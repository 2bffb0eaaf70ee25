"""What every neuron model consists of: a torch module for a layer of neurons, and an entry of the table.

How to add a neuron model:

1. Write a module in this folder. Its layer is a subclass of `LoihiNeuron`, whose `forward` computes the neuron in both
   numerics. If it is not a subclass of a snnTorch neuron, it also has `to_nir(name, shape, dt_s)`, which returns its
   NIR node. Loihi's integer neuron is fixed (`export.network.fixed_point`), so the node must be one that
   `export.graph` accepts: IF, LIF or CubaLIF with reset to zero. Its decays, threshold and biases must be those of
   the `loihi` numerics, and a property test must show that both spike alike.
2. In the same file write a subclass of `NeuronModel`, which builds the layer from the recipe.
3. Add one line to `NEURONS` in `pipeline.models.neurons.table`.

A model from outside the package needs no line: `student.neuron = "package.module:attribute"` names a `NeuronModel`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe

Numerics = Literal["float", "loihi"]
Place = Literal["conv", "dense", "output"]  # what a layer of neurons follows: a convolution, a hidden dense layer, ...
Synapse = nn.Conv2d | nn.Linear
SLOPE = 3.0  # of the fast-sigmoid surrogate 1 / (SLOPE * |v - threshold| + 1)^2
UNIT = 1 << STATE_SHIFT  # membrane units in one weight unit
# Below it the 24-bit current cannot wrap, whatever part of the drive is bias.
DRIVE_LIMIT = STATE_LIMIT - UNIT * BIAS_LIMIT


class LoihiNeuron(nn.Module):
    """A layer of neurons that maps currents `[T, B, ...]` to spikes and membranes before reset, both `[T, B, ...]`.

    Attributes:
        numerics: "float" for training, "loihi" for the chip's integer arithmetic with the gradient of the float
            equations.
        beta: share of the membrane that a step leaves, a scalar.
        threshold: the membrane must exceed it to fire, a scalar.
        scale: integer units per float unit, a power of two (times q^2 behind an average pool of q x q). A buffer, so
            that it is saved with the weights.
    """

    scale: torch.Tensor
    beta: torch.Tensor
    threshold: torch.Tensor
    numerics: Numerics

    @property
    def v_decay(self) -> int:
        """Share of the membrane that a step removes, in 4096ths."""
        return round(DECAY_ONE * (1.0 - float(self.beta)))

    @property
    def vth_mant(self) -> int:
        """Threshold in weight units."""
        return round(float(self.threshold) * float(self.scale))

    @property
    def recurrent_synapse(self) -> nn.Linear | None:
        """Weights from the layer's own spikes of the step before, if it has any."""
        return None

    def bias_owner(self, synapse: Synapse) -> nn.Module:
        """Module whose `bias` is added to the membrane: the `synapse` before this layer, or the layer itself.

        Args:
            synapse: the synapse before this layer.
        """
        return synapse

    def rescale(self, factor: float) -> None:
        """Multiplies threshold and recurrent weights by a factor, as the weights before the layer are.

        Args:
            factor: a positive number.
        """
        self.threshold *= factor
        if self.recurrent_synapse is not None:
            self.recurrent_synapse.weight *= factor

    def round_decays(self) -> None:
        """Replaces the decays by multiples of 1/4096, which is what the chip has."""
        self.beta.copy_(1 - torch.tensor(self.v_decay / DECAY_ONE))


class NeuronModel(ABC):
    """An entry of `NEURONS`: builds the layers of a student from its recipe.

    Attributes:
        summary: one line for the table of neuron models.
        places: layers that consist of these neurons; the other layers of a student are leaky.
        owns_bias: whether the bias belongs to the neurons, so that the synapse and the norm before them have none.
        snntorch_type: the neuron of snnTorch that `adopt` takes, None if there is none.
    """

    summary: str
    places: frozenset[Place] = frozenset({"conv", "dense", "output"})
    owns_bias: bool = False
    snntorch_type: type[nn.Module] | None = None

    @abstractmethod
    def make(self, recipe: StudentRecipe, size: int) -> LoihiNeuron:
        """A layer of neurons.

        Args:
            recipe: `[student]`, with `beta`, `alpha` and `v_threshold`.
            size: number of neurons of a dense layer, or of channels of a convolution.
        """

    def adopt(self, neuron: nn.Module, size: int) -> LoihiNeuron:
        """Converts a neuron of snnTorch to a layer that computes the same.

        Args:
            neuron: a `snntorch_type` with one decay and threshold for the layer.
            size: number of neurons of a dense layer, or of channels of a convolution.
        """
        raise NotImplementedError

    def make_norm(self, channels: int, batch_norm: type[nn.Module]) -> nn.Module:
        """The norm between a synapse and these neurons. It must fold into the synapse.

        Args:
            channels: number of channels.
            batch_norm: class of the norm, `nn.BatchNorm1d` or `nn.BatchNorm2d`.
        """
        return batch_norm(channels)


FEWER_INPUTS = (
    "use a network with fewer inputs per neuron: one more number in student.channels halves the frame once more, and "
    "data.height and data.width may be smaller"
)


def current_wraps(current: float, hint: str = FEWER_INPUTS) -> UserError:
    """The error for a current that Loihi's 24 bits cannot hold.

    Args:
        current: largest current, in weight units.
        hint: how to correct it.
    """
    return UserError(
        f"a neuron's input current reaches {current:.0f} weight units, "
        f"and Loihi's current wraps at {STATE_LIMIT // UNIT}",
        hint=hint,
    )
