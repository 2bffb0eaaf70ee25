"""The table of neuron models, and building a student's layers from it."""

from __future__ import annotations

import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.factory import is_factory, load_object
from spikeport.pipeline.models.batch_norm_through_time import BatchNormThroughTime
from spikeport.pipeline.models.neurons.base import LoihiNeuron, NeuronModel, Place
from spikeport.pipeline.models.neurons.leaky import Leaky
from spikeport.pipeline.models.neurons.recurrent import Recurrent
from spikeport.pipeline.models.neurons.synaptic import Synaptic
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe

WHERE = "student.neuron"
LEAKY = Leaky()

NEURONS: dict[str, NeuronModel] = {"leaky": LEAKY, "synaptic": Synaptic(), "recurrent": Recurrent()}


def neuron_model(name: str) -> NeuronModel:
    """The neuron model of `student.neuron`.

    Args:
        name: a key of `NEURONS`, or "package.module:attribute" of a `NeuronModel`.

    Raises:
        UserError: the name is unknown.
    """
    if name in NEURONS:
        return NEURONS[name]
    choices = ", ".join([*NEURONS, "package.module:attribute"])
    if not is_factory(name):
        raise UserError(f"{name!r} is not a neuron model", where=WHERE, hint=f"use one of {choices}")
    found = load_object(name, WHERE)
    model = found() if isinstance(found, type) and issubclass(found, NeuronModel) else found
    if not isinstance(model, NeuronModel):
        raise UserError(
            f"{name!r} is a {type(model).__name__}, not a NeuronModel",
            where=WHERE,
            hint="see spikeport.pipeline.models.neurons.base",
        )
    return model


def make_neurons(recipe: StudentRecipe, size: int, place: Place) -> LoihiNeuron:
    """A layer of neurons as the recipe asks for.

    Args:
        recipe: `[student]`.
        size: number of neurons of a dense layer, or of channels of a convolution.
        place: what the layer follows; leaky neurons stand where the model does not.
    """
    with torch.device("cpu"):  # also on the meta device: snnTorch's neurons read their values at once
        return _model_at(recipe, place).make(recipe, size)


def make_norm(
    recipe: StudentRecipe, channels: int, batch_norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d], place: Place
) -> nn.Module:
    """The norm before `make_neurons`; with `norm_steps` batch norm through time.

    Args:
        recipe: `[student]`.
        channels: number of channels.
        batch_norm: class of the norm.
        place: the kind of layer.
    """
    if recipe.norm_steps:
        return BatchNormThroughTime(channels, recipe.norm_steps, batch_norm)
    return _model_at(recipe, place).make_norm(channels, batch_norm)


def needs_bias(recipe: StudentRecipe, place: Place, *, norm: bool = False) -> bool:
    """Whether the synapse before `make_neurons` has a bias. A norm after it or the neurons may have it instead.

    Args:
        recipe: `[student]`.
        place: the kind of layer.
        norm: whether a norm follows the synapse.
    """
    return not norm and not _model_at(recipe, place).owns_bias


def _model_at(recipe: StudentRecipe, place: Place) -> NeuronModel:
    model = neuron_model(recipe.neuron)
    return model if place in model.places else LEAKY
