"""A network of torch modules that a function of the user makes, as a spiking graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.errors import UserError
from spikeport.export.graph.frameworks import framework_of
from spikeport.factory import call_factory, is_factory
from spikeport.pipeline.stages.settings import PathLike
from spikeport.values import Shape

if TYPE_CHECKING:
    from torch import nn

    from spikeport.export.frontends.convert import ExecutedModules
    from spikeport.export.graph.spiking_graph import SpikingGraph

HINT = "factory() returns an nn.Module of snnTorch style with its trained weights"


def is_live(source: PathLike) -> bool:
    """Whether a source is the factory of a network, `package.module:factory`, and no file of this name exists.

    Args:
        source: a path, or the name of a factory.
    """
    return is_factory(str(source)) and not Path(source).exists()


def network_graph(
    name: str,
    dt_s: float | None,
    input_shape: Shape | None,
    readout: str | None,
    bias: str | None,
    allow_vector: bool,
    *,
    framework: str | None = None,
) -> SpikingGraph:
    """Calls a factory and converts the network that it returns.

    Args:
        name: `package.module:factory`.
        dt_s: time step in seconds; needed.
        input_shape: `(C, H, W)` or `(N,)`; needed.
        readout: how the output becomes a class; None for the default.
        bias: "refuse" or "neuron"; None for the default.
        allow_vector: whether neurons of a layer may have different decays.
        framework: "snntorch" or None; with it, `dt_s` is the time step of snnTorch's exporter if it is not given.

    Raises:
        UserError: an option is missing, or the network cannot go to the chip.
    """
    checked_dt, shape = checked_options(name, dt_s, input_shape, framework)
    from spikeport.export.frontends.convert import modules_of

    return modules_graph(modules_of(made_network(name), shape), shape, checked_dt, readout, bias, allow_vector)


def checked_options(
    name: str,
    dt_s: float | None,
    input_shape: Shape | None,
    framework: str | None = None,
) -> tuple[float, Shape]:
    """The options that a network of torch modules needs.

    Args:
        name: the network, for errors.
        dt_s: as for `network_graph`, like all others.

    Returns:
        (time step in seconds, input shape).

    Raises:
        UserError: an option is missing, or the framework has no modules that are read.
    """
    if framework is not None:
        row = framework_of(framework)
        if row.name != "snntorch":
            raise UserError(f"networks of {row.title} are read from {row.files} files only", where=name,
                            hint=f"write a file with {row.title}'s own exporter and give it")  # fmt: skip
        dt_s = row.dt_s if dt_s is None else dt_s
    if dt_s is None or input_shape is None:
        missing = " and ".join(
            word for word, value in (("--dt", dt_s), ("--input-shape", input_shape)) if value is None
        )
        raise UserError(f"a network needs {missing}", where=name, hint="for example --dt 1e-3 --input-shape 2,34,34")
    return dt_s, input_shape


def modules_graph(
    modules: ExecutedModules,
    input_shape: Shape,
    dt_s: float,
    readout: str | None,
    bias: str | None,
    allow_vector: bool,
) -> SpikingGraph:
    """The spiking graph of executed modules with the options of `network_graph`.

    Args:
        modules: the modules of the network.
        input_shape: as for `network_graph`, like all others.

    Raises:
        UserError: the network cannot go to the chip.
    """
    from spikeport.export.frontends.convert import graph_of

    graph = graph_of(modules, input_shape, dt_s, readout=readout or "")
    return replace(graph, bias=bias or graph.bias, allow_vector=allow_vector or graph.allow_vector)


def made_network(name: str) -> nn.Module:
    """The network that a factory returns.

    Args:
        name: `package.module:factory`.

    Raises:
        UserError: the factory cannot be called, or returns something else.
    """
    from torch import nn

    model = call_factory(name, "SOURCE", hint=HINT)
    if not isinstance(model, nn.Module):
        raise UserError(f"{name}() returned a {type(model).__name__}", where="SOURCE", hint=HINT)
    return model
