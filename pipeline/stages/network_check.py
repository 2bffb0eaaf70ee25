"""Says of every node of a network whether it goes to the chip, before anything is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spikeport.errors import UserError
from spikeport.factory import is_factory
from spikeport.pipeline.stages.settings import PathLike
from spikeport.tables import text_of, text_table
from spikeport.values import Shape

Status = Literal["exact", "rewritten", "needs training", "impossible", "not looked at"]
REWRITTEN = {
    "Flatten": "netx flattens in the same order",
    "AvgPool2d": "folded into the weights beside it",
    "SumPool2d": "folded into the weights beside it",
    "Scale": "folded into the weights beside it",
    "Delay": "becomes delays of synapses",
    "Conv1d": "a convolution over maps of height 1",
    "MaxPool2d": "a layer of OR neurons",
    "BatchNorm1d": "folded into the weights before it",
    "BatchNorm2d": "folded into the weights before it",
    "Identity": "left out",
}


@dataclass(frozen=True, kw_only=True)
class NodeCheck:
    """What becomes of one node.

    Attributes:
        node: name of the node or module.
        kind: its type.
        status: "exact": runs as it is; "rewritten": runs in another form with the same spikes; "needs training":
            another setting has to be trained; "impossible": the chip has nothing for it; "not looked at": a fault
            before it hides its shape.
        reason: why; empty for "exact".
        remedy: what to do; empty if nothing.
    """

    node: str
    kind: str
    status: Status
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class NetworkCheck:
    """What becomes of every node of a network. Prints as a table.

    Attributes:
        nodes: the nodes in order.
        missing: what has to be given, such as the time step, and faults of the graph as a whole.
        layers: number of layers on the chip; None if the network does not go there.
        notes: assumptions, and what was rewritten.
    """

    nodes: tuple[NodeCheck, ...]
    missing: tuple[str, ...]
    layers: int | None
    notes: tuple[str, ...]

    @property
    def goes(self) -> bool:
        """Whether the network goes to the chip as it is."""
        return self.layers is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values, and `goes`."""
        return {
            "goes": self.goes,
            "layers": self.layers,
            "nodes": [asdict(node) for node in self.nodes],
            "missing": list(self.missing),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The check as text for people."""
        rows = [(n.node, n.kind, n.status, "; ".join(filter(None, (n.reason, n.remedy)))) for n in self.nodes]
        lines = text_table(("node", "kind", "status", "reason and remedy"), rows)
        lines += [f"missing: {text}" for text in self.missing]
        lines += [f"note: {note}" for note in self.notes]
        return [*lines, f"goes to the chip, in {self.layers} layers" if self.goes else "does not go to the chip"]

    def __repr__(self) -> str:
        return text_of(["NetworkCheck:", *(f"  {line}" for line in self.lines())])


def check_network(
    source: PathLike,
    *,
    dt_s: float | None = None,
    reset: str | None = None,
    if_gain: Literal["per-step", "per-second"] | None = None,
    input_shape: Shape | None = None,
    bias: str | None = None,
    allow_vector: bool = False,
) -> NetworkCheck:
    """Checks a .nir file or a network of torch modules, node by node. Writes nothing.

    Args:
        source: a .nir file, or `package.module:factory` of a network.
        dt_s, reset, if_gain, input_shape, bias, allow_vector: as for `export_network`.

    Returns:
        The status of each node, and what is missing.

    Raises:
        UserError: the source cannot be read at all.
    """
    from spikeport.export.graph.structure import faults_of
    from spikeport.export.quantization.quantize import quantize

    kinds = _kinds(str(source), input_shape)
    faults: tuple[UserError, ...] = ()
    layers, notes = None, ()
    try:
        graph = _graph(str(source), dt_s, reset, if_gain, input_shape, bias, allow_vector)
        notes = graph.notes
        network, _ = quantize(graph)
        layers = len(network.layers)
    except UserError as error:
        faults = faults_of(error)
    named = {fault.where: fault for fault in faults if fault.where in kinds}
    hidden = layers is None and not named
    nodes = [_node(name, kind, named.get(name), hidden=hidden) for name, kind in kinds.items()]
    missing = tuple(str(fault) for fault in faults if fault.where not in kinds)
    return NetworkCheck(nodes=tuple(nodes), missing=missing, layers=layers, notes=notes)


def _node(name: str, kind: str, fault: UserError | None, *, hidden: bool) -> NodeCheck:
    if fault is not None:
        status: Status = "needs training" if "train" in fault.hint else "impossible"
        reason = ": ".join(filter(None, (fault.message, fault.cause)))
        return NodeCheck(node=name, kind=kind, status=status, reason=reason, remedy=fault.hint)
    rewritten = "left out" if kind.startswith(("Dropout", "AlphaDropout", "FeatureAlpha")) else REWRITTEN.get(kind)
    if hidden and rewritten is None:
        return NodeCheck(node=name, kind=kind, status="not looked at")
    return NodeCheck(node=name, kind=kind, status="exact" if rewritten is None else "rewritten", reason=rewritten or "")


def _kinds(source: str, input_shape: Shape | None) -> dict[str, str]:
    """Type of each node or module by name, in order."""
    if _is_live(source):
        from spikeport.export.frontends.convert import modules_of
        from spikeport.pipeline.stages.live_network import made_network

        if input_shape is None:
            raise UserError("a network needs --input-shape", where=source, hint="for example --input-shape 2,34,34")
        named, _, _ = modules_of(made_network(source), input_shape)
        return {name: type(module).__name__.removeprefix("Parametrized") for name, module in named}
    import nir

    from spikeport.export.formats.nir_file import read_nir
    from spikeport.export.graph.flatten import flat

    nodes = flat(read_nir(source)).nodes
    return {name: type(node).__name__ for name, node in nodes.items() if not isinstance(node, (nir.Input, nir.Output))}


def _graph(
    source: str, dt_s: float | None, reset: str | None, if_gain: str | None, input_shape: Shape | None,
    bias: str | None, allow_vector: bool,
) -> Any:  # fmt: skip
    per: Any = if_gain.replace("-", "_") if if_gain else None
    if _is_live(source):
        from spikeport.pipeline.stages.live_network import network_graph

        return network_graph(source, dt_s, input_shape, None, bias, allow_vector, reset=reset, if_gain=per)
    from spikeport.export.graph.spiking_graph import load_graph

    return load_graph(
        source, dt_s=dt_s, reset=reset, if_gain=per, input_shape=input_shape, bias=bias,
        allow_vector=allow_vector or None,
    )  # fmt: skip


def _is_live(source: str) -> bool:
    return is_factory(source) and not Path(source).exists()
