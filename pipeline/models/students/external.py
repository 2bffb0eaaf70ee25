"""Students from outside the package: any chain of layers in snnTorch's style, made by a function of the user's.

Convolutions, dense layers and their batch norms are used as they are, weights included. The neurons are replaced by
those of `NEURONS` with the same equation, which process all steps at once and also compute Loihi's integers. The
surrogate gradient is that of `pipeline.models.neurons`.
"""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.frontends.module_walk import SKIPPED, named_modules
from spikeport.export.frontends.snntorch_neurons import check_neuron, resets
from spikeport.export.quantization.quantize import quantize
from spikeport.factory import call_factory
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.base import LoihiNeuron, NeuronModel, Place
from spikeport.pipeline.models.neurons.table import NEURONS
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.network import PROBE_CLASSES, WHERE, StudentNetwork
from spikeport.pipeline.models.weight_memory import check_weights_fit
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape

HINT = "name a function of (input_shape, classes) that returns an nn.Sequential, ended by nn.Linear and snntorch.Leaky"
LAYERS = "Conv2d, Linear, BatchNorm1d, BatchNorm2d, AvgPool2d, Flatten, Dropout, Leaky, Synaptic and RLeaky"
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
DT_S = 1e-3  # of the graph that is only made to see whether it can be


class ExternalStudent(StudentNetwork):
    """The student that "package.module:factory" makes.

    The factory is called with `input_shape`, (C, H, W) or (N,), and the number of classes, and returns an
    `nn.Sequential` of convolutions and dense layers, each followed by batch norm or not and by neurons, with average
    pools and `Flatten` before them. The last two modules are `nn.Linear` and neurons, one for each class.

    Args:
        name: "package.module:factory".
    """

    summary = "the layers that factory(input_shape, classes) makes"
    options = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset()

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        made = call_factory(self.name, WHERE, tuple(input_shape), classes, hint=HINT)
        if not isinstance(made, nn.Module):
            raise UserError(f"{self.name} returned a {type(made).__name__}, not a torch module", where=WHERE, hint=HINT)
        layers = _layers(made)
        (_, head), (_, output) = layers[-2:]
        assert isinstance(head, nn.Linear)
        assert isinstance(output, LoihiNeuron)
        if head.out_features != classes:
            raise UserError(
                f"its last layer has {head.out_features} outputs, and the data have {classes} classes",
                where=WHERE,
                hint="make the last nn.Linear as wide as the second argument of the factory",
            )
        heads = {"event": head}
        if not shared_head:
            heads["static"] = nn.Linear(head.in_features, classes, bias=head.bias is not None)
        student = Student(nn.ModuleDict(dict(layers[:-2])), nn.ModuleDict(heads), output)
        return student if norm else fold_batch_norm(student)

    def check(self, recipe: StudentRecipe, input_shape: Shape, *, for_netx: bool) -> None:
        """Builds the student. With `for_netx`, also compiles it with its initial weights.

        Layers that the chip does not support are then an error before the training.

        Args:
            recipe: `[student]`.
            input_shape: `(C, H, W)`, or `(N,)`, of a frame.
            for_netx: whether the student will be exported.

        Raises:
            UserError: it cannot be built or compiled.
        """
        with torch.random.fork_rng(devices=[]):
            student = self.build(recipe, input_shape, PROBE_CLASSES, shared_head=True)
        check_weights_fit(student, "student", "make the layers of your network smaller")
        if for_netx:
            quantize(to_spiking_graph(fold_batch_norm(student).deployed(), input_shape, DT_S))


def _layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Named layers in order, neurons replaced, checked to be synapse, norm or not, neurons, and so on."""
    layers: list[tuple[str, nn.Module]] = []
    synapse: Any = None  # whose neurons have not come yet
    pools = 0
    for path, module in named_modules(network):
        name = "layer" + path.replace(".", "_") if path[:1].isdigit() else path.replace(".", "_")
        if type(module) is nn.Identity:
            continue
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if synapse is not None:
                raise _error(
                    path, f"{type(module).__name__} follows a layer without neurons", "put neurons between them"
                )
            synapse, pools = module, 0
        elif isinstance(module, NORMS):
            _check_norm(path, module, synapse, layers[-1][1] if layers else None)
        elif isinstance(module, (LoihiNeuron, snntorch.SpikingNeuron)):
            if synapse is None:
                raise _error(path, "these neurons follow no convolution or dense layer", "put one before them")
            module = _adopt(path, module, synapse, has_norm=isinstance(layers[-1][1], NORMS))
            synapse = None
        elif isinstance(module, (nn.AvgPool2d, nn.Flatten)):
            pools += isinstance(module, nn.AvgPool2d)
            if synapse is not None or pools > 1:
                raise _error(
                    path,
                    "a pool or Flatten must stand behind neurons, and one pool at a time",
                    "move it, or merge the pools",
                )
        elif type(module) not in SKIPPED:
            raise _error(path, f"a {type(module).__name__} cannot go to the chip", f"use {LAYERS}")
        layers.append((name, module))
    if synapse is not None or len(layers) < 2 or not isinstance(layers[-2][1], nn.Linear):
        raise UserError(
            "it does not end in nn.Linear and neurons", where=WHERE, hint="end with nn.Linear and snntorch.Leaky"
        )
    return layers


def _adopt(path: str, neurons: Any, synapse: Any, *, has_norm: bool) -> LoihiNeuron:
    """The layer of neurons that replaces one of snnTorch's."""
    model = _model(path, neurons)
    if model is None:
        assert isinstance(neurons, LoihiNeuron)
        return neurons
    try:
        check_neuron(path, neurons)
        if resets(neurons) != "zero":
            raise UserError(f"it resets by {resets(neurons)!r}", hint="train with reset_mechanism='zero'")
        if model.owns_bias and (has_norm or synapse.bias is not None):
            raise UserError(
                "the layer before has a bias or batch norm",
                cause="Loihi adds a bias to the membrane, so it belongs to these neurons",
                hint="use bias=False, and no batch norm before Synaptic; its neurons learn a bias of their own",
            )
        for key in ("alpha", "beta", "threshold"):
            value = getattr(neurons, key, None)
            if isinstance(value, nn.Parameter):
                raise UserError(f"it learns {key}", hint=f"use learn_{key}=False, or a neuron model of your own")
            if value is not None and value.numel() != 1:
                raise UserError(f"it has {value.numel()} values of {key}", hint="use one value for the layer")
        size = synapse.out_channels if isinstance(synapse, nn.Conv2d) else synapse.out_features
        return model.adopt(neurons, size)
    except UserError as error:
        raise _error(path, f"{type(neurons).__name__}: {error.message}", error.hint, error.cause) from None


def _model(path: str, neurons: nn.Module) -> NeuronModel | None:
    """The model that adopts these neurons, None for neurons that are a `LoihiNeuron` already."""
    if isinstance(neurons, LoihiNeuron):
        return None
    for model in NEURONS.values():
        if type(neurons) is model.snntorch_type:
            return model
    known = ", ".join(model.snntorch_type.__name__ for model in NEURONS.values() if model.snntorch_type)
    raise _error(path, f"a {type(neurons).__name__} cannot go to the chip", f"use one of {known}")


def _check_norm(path: str, norm: Any, synapse: Any, before: nn.Module | None) -> None:
    if synapse is None or before is not synapse:
        raise _error(
            path,
            "batch norm does not follow a convolution or dense layer",
            "put it directly behind one, where it can be folded",
        )
    if not (norm.affine and norm.track_running_stats):
        raise _error(path, "batch norm has no weights or statistics", "use affine=True, track_running_stats=True")


def _error(path: str, message: str, hint: str, cause: str = "") -> UserError:
    return UserError(message, where=f"{WHERE}, layer {path}", cause=cause, hint=hint)
