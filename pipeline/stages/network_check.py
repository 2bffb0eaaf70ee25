"""Says of every node of a network whether it goes to the chip, before anything is written."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.pipeline.stages.adaptation_result import table_of
from spikeport.pipeline.stages.live_network import is_live
from spikeport.pipeline.stages.network_sources import GraphOptions, file_source, modules_source
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.source_options import CHECK_NETWORK, refuses_unused
from spikeport.tables import text_of, text_table
from spikeport.values import Shape

if TYPE_CHECKING:
    from spikeport.pipeline.adaptation.measure import Measured

Status = Literal["exact", "rewritten", "needs adapt", "impossible", "no fault found", "not looked at"]
REWRITTEN = {
    "Flatten": "netx flattens in the same order",
    "AvgPool2d": "folded into the weights beside it",
    "SumPool2d": "folded into the weights beside it",
    "Scale": "folded into the weights beside it",
    "Delay": "becomes delays of synapses",
    "Conv1d": "a convolution over maps of height 1",
    "MaxPool1d": "a layer of OR neurons",
    "MaxPool2d": "a layer of OR neurons",
    "AvgPool1d": "folded into the weights beside it",
    "Concat": "its readers take their own part of it",
    "Sum": "one synapse over all that is added",
    "BatchNorm1d": "folded into the weights before it",
    "BatchNorm2d": "folded into the weights before it",
    "Identity": "left out",
}
DROPOUT = ("Dropout", "AlphaDropout", "FeatureAlpha")


@dataclass(frozen=True, kw_only=True)
class NodeCheck:
    """What becomes of one node.

    Attributes:
        node: name of the node or module.
        kind: its type.
        status: "exact": runs as it is; "rewritten": runs in another form with the same spikes; "needs adapt": the chip
            has a form near it, which `spikeport adapt` trains; "impossible": the chip has nothing for it; "no fault
            found": nothing speaks against it, but the network as a whole does not go; "not looked at": a fault before
            it, or something that is missing, hides it.
        reason: why; empty for "exact".
        remedy: what to do; empty if nothing.
    """

    node: str
    kind: str
    status: Status
    reason: str = ""
    remedy: str = ""


class NodeCheckJson(TypedDict):
    """`NodeCheck` as JSON."""

    node: str
    kind: str
    status: Status
    reason: str
    remedy: str


class NetworkCheckJson(TypedDict):
    """`NetworkCheck` as JSON: its attributes, and whether the network goes to the chip."""

    goes: bool
    layers: int | None
    nodes: list[NodeCheckJson]
    missing: list[str]
    adapt: str
    nearest: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class NetworkCheck:
    """What becomes of every node of a network. Prints as a table.

    Attributes:
        nodes: the nodes in order.
        missing: what has to be given, such as the time step, and faults of the graph as a whole.
        layers: number of layers on the chip; None if the network does not go there.
        adapt: the command that trains the nearest network that goes; empty if it goes, or if more than this is needed.
        nearest: on given frames, the network in float as it was trained, the nearest network that goes in float, and
            the same rounded, without training; empty without frames.
        notes: assumptions, and what was rewritten.
    """

    nodes: tuple[NodeCheck, ...]
    missing: tuple[str, ...]
    layers: int | None
    adapt: str
    notes: tuple[str, ...]
    nearest: tuple[Measured, ...] = ()

    @property
    def goes(self) -> bool:
        """Whether the network goes to the chip as it is."""
        return self.layers is not None

    def to_json(self) -> NetworkCheckJson:
        """Plain values, as `spikeport check-network --json` prints them."""
        nodes = [
            NodeCheckJson(node=n.node, kind=n.kind, status=n.status, reason=n.reason, remedy=n.remedy)
            for n in self.nodes
        ]
        return {
            "goes": self.goes,
            "layers": self.layers,
            "nodes": nodes,
            "missing": list(self.missing),
            "adapt": self.adapt,
            "nearest": [asdict(row) for row in self.nearest],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The check as text for people."""
        rows = [(n.node, n.kind, n.status, "; ".join(filter(None, (n.reason, n.remedy)))) for n in self.nodes]
        lines = text_table(("node", "kind", "status", "reason and remedy"), rows)
        lines += [f"missing: {text}" for text in self.missing]
        lines += [f"note: {note}" for note in self.notes]
        if self.nearest:
            lines += ["", *table_of(self.nearest), ""]
        if self.adapt:
            lines.append(f"the nearest network that goes to the chip: {self.adapt}")
        return [*lines, f"goes to the chip, in {self.layers} layers" if self.goes else "does not go to the chip"]

    def __repr__(self) -> str:
        return text_of(["NetworkCheck:", *(f"  {line}" for line in self.lines())])


@refuses_unused(CHECK_NETWORK)
def check_network(
    source: PathLike,
    *,
    framework: str | None = None,
    dt_s: float | None = None,
    reset: str | None = None,
    if_gain: Literal["per-step", "per-second"] | None = None,
    input_shape: Shape | None = None,
    bias: str | None = None,
    allow_vector: bool = False,
    frames: PathLike | None = None,
) -> NetworkCheck:
    """Checks a .nir file, a network of torch modules or a .net file, node by node. Writes nothing.

    Args:
        source: a .nir file, a .net file, or `package.module:factory` of a network, which is called once.
        framework, dt_s, reset, if_gain, input_shape, bias, allow_vector: as for `export_network`.
        frames: file of frames on which the network, as it was trained, is compared with the nearest network that goes;
            a factory is called once more. None: no comparison.

    Returns:
        The status of each node, and what is missing.

    Raises:
        UserError: the source cannot be read at all, or an option has no meaning for it.
    """
    from spikeport.export.graph.structure import UnseenError, faults_of
    from spikeport.export.lowering.branches.one_chain import one_chain, rewritten_nodes
    from spikeport.export.quantization.quantize import quantize

    options = GraphOptions(
        framework=framework,
        dt_s=dt_s,
        reset=reset,
        if_gain=if_gain,
        input_shape=input_shape,
        bias=bias,
        allow_vector=allow_vector,
    )
    if os.fspath(source).endswith(".net"):
        return _check_net(source, input_shape)
    network = modules_source(str(source), options) if is_live(source) else file_source(source, options)
    faults: list[UserError] = []
    raised: list[UserError] = []
    graph, layers = None, None
    split: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    try:
        graph = network.convert(faults)
        if graph is not None:
            quantized, _ = quantize(graph)
            layers, notes = len(quantized.layers), one_chain(graph).notes
            split = rewritten_nodes(graph)
    except UserError as error:
        known = {str(fault) for fault in faults}
        raised = [fault for fault in faults_of(error) if str(fault) not in known]
    named: dict[str, list[UserError]] = {}
    unseen: set[str] = set()
    missing: list[str] = []
    for fault in (*faults, *raised):
        if isinstance(fault, UnseenError):
            unseen |= set(fault.names)
        elif owner := _owner(fault.where, network.kinds):
            named.setdefault(owner, []).append(fault)
        else:
            missing.append(str(fault))
    whole = [fault for fault in raised if not isinstance(fault, UnseenError) and not _owner(fault.where, network.kinds)]
    if graph is None and (whole or not raised):
        unseen |= set(network.kinds)
    faults += raised
    nodes = [
        _node(name, kind, named.get(name, []), split.get(name, ""), goes=not faults, seen=name not in unseen)
        for name, kind in network.kinds.items()
    ]
    adaptable = bool(named) and not missing and all(_adapts(found) for found in named.values())
    return NetworkCheck(
        nodes=tuple(nodes),
        missing=tuple(missing),
        layers=None if faults else layers,
        adapt=_adapt_command(source, options) if adaptable else "",
        notes=notes if graph is None or layers is not None else graph.notes,
        nearest=() if frames is None else _nearest(source, options, frames),
    )


def _check_net(source: PathLike, input_shape: Shape | None) -> NetworkCheck:
    """The layers of a .net file, which is in the chip's integers already. All layers of unknown types are named."""
    from spikeport.export.formats.netx.layer_types import layer_kinds
    from spikeport.export.formats.netx.read import read_netx

    kinds = layer_kinds(source)
    try:
        network = read_netx(source, input_shape)
    except UserError as error:
        found = {name: fault for name, (_, fault) in kinds.items() if fault is not None}
        owner = error.where.rpartition(", layer ")[2]
        if f"layer{owner}" in kinds:
            found.setdefault(f"layer{owner}", error)
        named = {name: UserError(fault.message, cause=fault.cause, hint=fault.hint) for name, fault in found.items()}
        seen = next((index for index, name in enumerate(kinds) if name in named), 0)
        nodes = tuple(
            _node(name, kind, [named[name]] if name in named else [], "", goes=False, seen=index < seen)
            for index, (name, (kind, _)) in enumerate(kinds.items())
        )
        return NetworkCheck(nodes=nodes, missing=() if named else (str(error),), layers=None, adapt="", notes=())
    nodes = tuple(NodeCheck(node=layer.name, kind=layer.kind, status="exact") for layer in network.layers)
    return NetworkCheck(nodes=nodes, missing=(), layers=len(nodes), adapt="", notes=())


def _nearest(source: PathLike, options: GraphOptions, frames: PathLike) -> tuple[Measured, ...]:
    from spikeport.pipeline.stages.adaptation_source import compare_nearest, source_of

    reset: Any = options.reset
    found = source_of(
        source, options.dt_s, reset, options.if_gain, options.input_shape, None, options.framework
    )  # fmt: skip
    return compare_nearest(found, frames)


def _node(name: str, kind: str, faults: list[UserError], split: str, *, goes: bool, seen: bool) -> NodeCheck:
    if faults:
        adapts = _adapts(faults)
        reasons = dict.fromkeys(": ".join(filter(None, (fault.message, fault.cause))) for fault in faults)
        hints = dict.fromkeys(fault.hint for fault in faults if fault.hint)
        remedy = "; or ".join([*filter(None, ("; ".join(hints),)), *(["spikeport adapt"] if adapts else [])])
        status: Status = "needs adapt" if adapts else "impossible"
        return NodeCheck(node=name, kind=kind, status=status, reason="; ".join(reasons), remedy=remedy)
    if not seen:
        return NodeCheck(node=name, kind=kind, status="not looked at")
    rewritten = "left out" if kind.startswith(DROPOUT) else split or REWRITTEN.get(kind, "")
    status = "no fault found" if not goes else "rewritten" if rewritten else "exact"
    return NodeCheck(node=name, kind=kind, status=status, reason=rewritten)


def _adapts(faults: list[UserError]) -> bool:
    return all(isinstance(fault, NeedsAdaptError) for fault in faults)


def _adapt_command(source: PathLike, options: GraphOptions) -> str:
    """The command that adapts the network, with the options that were given here."""
    given = {
        "--dt": "" if options.dt_s is None else f"{options.dt_s:g}",
        "--reset": options.reset or "",
        "--if-gain": options.if_gain or "",
        "--input-shape": ",".join(map(str, options.input_shape or ())),
        "--from": options.framework or "",
    }
    words = [f"{key} {value}" for key, value in given.items() if value]
    return " ".join(["spikeport adapt", shlex.quote(os.fspath(source)), "--frames FRAMES.npz --out DIR", *words])


def _owner(where: str, kinds: dict[str, str]) -> str:
    """The node that a fault names, or the module from which the node was made, such as `pool` of `pool.or`."""
    while where and where not in kinds:
        where = where.rpartition(".")[0]
    return where
