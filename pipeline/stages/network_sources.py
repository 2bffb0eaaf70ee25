"""Networks that `check-network` looks at: their nodes by name, and a conversion that collects faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeport.errors import UserError
from spikeport.export.graph.frameworks import framework_of
from spikeport.pipeline.stages.live_network import checked_options, made_network, modules_graph
from spikeport.pipeline.stages.settings import PathLike
from spikeport.values import Shape

if TYPE_CHECKING:
    from torch import nn

    from spikeport.export.graph.spiking_graph import SpikingGraph


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """What a source does not state, as for `export_network`; None: not given.

    Attributes:
        framework: framework that wrote the file.
        dt_s: time step in seconds.
        reset: "zero" or "subtract".
        if_gain: "per-step" or "per-second".
        input_shape: `(C, H, W)` or `(N,)`.
        bias: "refuse" or "neuron".
        allow_vector: whether neurons of a layer may have different decays.
    """

    framework: str | None = None
    dt_s: float | None = None
    reset: str | None = None
    if_gain: str | None = None
    input_shape: Shape | None = None
    bias: str | None = None
    allow_vector: bool = False


@dataclass(frozen=True)
class NetworkSource:
    """A network before its conversion.

    Attributes:
        kinds: type of each node or module by name, in order.
        convert: makes the spiking graph. Adds to its argument the faults in spite of which nodes can be looked at;
            raises others, or returns None where it has added all.
    """

    kinds: dict[str, str]
    convert: Callable[[list[UserError]], SpikingGraph | None]


def modules_source(name: str, options: GraphOptions) -> NetworkSource:
    """The network that a factory makes. The factory and the network run once.

    Args:
        name: `package.module:factory`.
        options: what the network does not state.

    Raises:
        UserError: the factory does not give a network, or the input shape is missing.
    """
    from spikeport.export.frontends.convert import modules_of
    from spikeport.export.frontends.leaves import is_leaf

    shape = options.input_shape
    if shape is None:
        checked_options(name, options.dt_s, shape, options.framework)  # raises
    model = made_network(name)
    try:
        modules = modules_of(model, shape or ())
    except UserError as error:
        fault = error

        def refused(faults: list[UserError]) -> SpikingGraph:
            raise fault

        return NetworkSource({part: _kind(each) for part, each in model.named_modules() if is_leaf(each)}, refused)

    def convert(faults: list[UserError]) -> SpikingGraph:
        dt_s = options.dt_s
        try:
            dt_s, _ = checked_options(name, dt_s, shape, options.framework)
        except UserError as error:
            if dt_s is not None or options.framework is not None:
                raise
            faults.append(error)  # modules state their decays themselves, so that any time step will do here
            dt_s = framework_of("snntorch").dt_s
        return modules_graph(modules, shape or (), dt_s, None, options.bias, options.allow_vector)

    return NetworkSource({part: _kind(each) for part, each in modules.named}, convert)


def file_source(path: PathLike, options: GraphOptions) -> NetworkSource:
    """The network of a .nir file.

    Args:
        path: the file.
        options: what the file does not state.

    Raises:
        UserError: the file cannot be read.
    """
    import nir

    from spikeport.export.formats.nir_file import read_nir
    from spikeport.export.graph.flatten import flat
    from spikeport.export.graph.node_kinds import SPIKING
    from spikeport.export.graph.reset import ResetError
    from spikeport.export.graph.spiking_graph import load_graph
    from spikeport.export.quantization.load_file import read_on

    nodes = flat(read_nir(path)).nodes
    given: dict[str, Any] = {
        "dt_s": options.dt_s,
        "reset": options.reset,
        "if_gain": options.if_gain.replace("-", "_") if options.if_gain else None,
        "input_shape": options.input_shape,
        "bias": options.bias,
        "allow_vector": options.allow_vector or None,
        "framework": options.framework,
    }

    def convert(faults: list[UserError]) -> SpikingGraph | None:
        try:
            return load_graph(path, **given)
        except UserError as error:
            found, graph = read_on(path, error, **given)
        spiking = [name for name, node in nodes.items() if isinstance(node, SPIKING)]
        for fault in found:
            faults += [fault.of_node(name) for name in spiking] if isinstance(fault, ResetError) else [fault]
        return graph

    kinds = {name: type(node).__name__ for name, node in nodes.items() if not isinstance(node, (nir.Input, nir.Output))}
    return NetworkSource(kinds, convert)


def _kind(module: nn.Module) -> str:
    from spikeport.export.frontends.obstacle import Obstacle

    if isinstance(module, Obstacle):
        return module.kind
    return type(module).__name__.removeprefix("Parametrized")
