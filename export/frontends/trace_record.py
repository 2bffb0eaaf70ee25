"""What a trace records of a network: modules, wiring, the tensors that they give, and faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.forward_run import tensors_of
from spikeport.export.frontends.module_walk import Named
from spikeport.export.frontends.obstacle import Obstacle
from spikeport.export.frontends.wiring import INPUT, Sum
from spikeport.export.graph.structure import refuse


@dataclass
class Trace:
    """What one time step of a network does.

    Attributes:
        modules: names and modules in the order of execution; functions are modules named after what they follow.
        wiring: by name, what enters a module where it is not the one before.
        outputs: names of the modules whose results the network returns.
        returned: for each output the places of its tensors in the result, see `ForwardRun`.
        count: number of tensors that the network returns.
        returns_membrane: whether it returns the membrane of this module and not its spikes.
        takes_recording: whether it ran on a recording of one step, not on a step.
        batched: whether its modules saw batches: `[B, C, H, W]` before convolutions, `[B, N]` before linear layers.
        notes: what was read from the run.
        faults: what cannot go to the chip. Where a module or function is in the way, an `Obstacle` stands for it.
    """

    modules: Named = field(default_factory=list)
    wiring: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    returned: tuple[tuple[int, ...], ...] = ()
    count: int = 0
    returns_membrane: bool = False
    takes_recording: bool = False
    batched: bool = True
    notes: list[str] = field(default_factory=list)
    faults: list[UserError] = field(default_factory=list)


class Record:
    """Modules and tensors of a run.

    Attributes:
        network: type of the network, for errors.
        found: the trace so far.
        sources: by id of a tensor, the names whose sum it is.
        membranes: by id of a tensor that is a membrane, the name of its neurons.
        versions: by id of a tensor, how often it had been written into when its sources were recorded.
        alive: tensors of the run, so that ids are unique.
    """

    def __init__(self, network: str) -> None:
        self.network = network
        self.found = Trace()
        self.sources: dict[int, tuple[str, ...]] = {}
        self.membranes: dict[int, str] = {}
        self.versions: dict[int, int] = {}
        self.alive: list[Tensor] = []

    def give(self, tensor: Tensor, names: tuple[str, ...]) -> None:
        """Records that a tensor is the sum of what these modules give.

        Args:
            tensor: the tensor.
            names: names of modules, or of inputs of the network.
        """
        self.sources[id(tensor)], self.versions[id(tensor)] = names, tensor._version
        self.alive.append(tensor)

    def add(self, name: str, module: nn.Module, entering: tuple[str, ...], *, again: bool = False) -> str:
        """Adds a module, unless it is there.

        Args:
            name: its name; a number is added where another has it.
            module: the module.
            entering: what enters it.
            again: whether it may be one that is there: the same layer one step later, or a function of like settings.

        Returns:
            Its name.
        """
        name = name.strip("/")
        for other, known in self.found.modules if again else ():
            alike = known is module or (
                type(known) is type(module) and _settings(known) == _settings(module) and not list(module.parameters())
            )
            if alike and self.found.wiring[other] == entering:
                return other
        base, number, taken = name, 2, dict(self.found.modules)
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        self.found.modules.append((name, module))
        self.found.wiring[name] = entering
        return name

    def one(self, names: tuple[str, ...]) -> str:
        """One name for the sum of several modules.

        Args:
            names: names of the modules.
        """
        return names[0] if len(names) == 1 else self.add(f"{names[0]}.sum", Sum(), names, again=True)

    def no_place(self, function: str, tensors: list[Tensor], result: Any) -> str:
        """Adds an obstacle for a function.

        Args:
            function: its name.
            tensors: what enters it.
            result: what it gave.

        Returns:
            The obstacle's name.
        """
        entering = tuple(dict.fromkeys(name for tensor in tensors for name in self.sources[id(tensor)]))
        return self.obstacle(f"{self.sources[id(tensors[0])][-1]}.{function}", entering, function, tensors_of(result))

    def obstacle(
        self, name: str, entering: tuple[str, ...], found: nn.Module | str, results: list[Tensor],
        *, looked_at: bool = False,
    ) -> str:  # fmt: skip
        """Adds an obstacle, from which its results come.

        Args:
            name: its name.
            entering: what enters it; empty for what is not known.
            found: the module, or the name of the function.
            results: what it gave, a batch of one sample each.
            looked_at: whether the module's own settings are to be looked at too.

        Returns:
            The obstacle's name.
        """
        shape = tuple(results[0].shape[1:]) if results else ()
        kind = found if isinstance(found, str) else type(found).__name__
        inner = found if looked_at and isinstance(found, nn.Module) else None
        name = self.add(name, Obstacle(kind, shape, name, inner), entering, again=True)
        for each in results:
            self.give(each, (name,))
        return name

    def fault(self, message: str, where: str, *, cause: str = "", hint: str) -> None:
        """Adds a fault, see `keep`. The arguments are those of a `UserError`."""
        self.keep(UserError(message, where=where, cause=cause, hint=hint))

    def keep(self, fault: UserError) -> None:
        """Adds a fault, unless an earlier step showed it.

        Args:
            fault: the fault.
        """
        if str(fault) not in map(str, self.found.faults):
            self.found.faults.append(fault)

    def as_given(self, tensors: list[Tensor]) -> None:
        """Adds a fault where the network wrote into a tensor after a module gave it, such as `x[:, 0] = 0`.

        Args:
            tensors: tensors that are about to be used.
        """
        for each in tensors:
            if id(each) in self.sources and each._version != self.versions[id(each)]:
                self.versions[id(each)] = each._version
                name = self.sources[id(each)][-1]
                place, what = (self.network, "its input") if self.is_input((name,)) else (name, "what it gives")
                self.fault(f"the network writes into {what}", place, cause="this has no place on the chip",
                           hint="leave the tensor as it is")  # fmt: skip

    def finished(self, result: Any) -> Trace:
        """The trace, with what the network returns: all results that are spikes or currents, or the first membrane.

        Args:
            result: what the network returned.

        Raises:
            UserError: nothing of it comes from the input.
        """
        tensors = tensors_of(result)
        self.as_given(tensors)
        known = [each for each in tensors if id(each) in self.sources and not self.is_input(self.sources[id(each)])]
        if not known:
            self.fault("returns nothing that comes from its input", self.network,
                        hint="return the output spikes, or the membrane of the last neurons")  # fmt: skip
            refuse(self.found.faults)
        spikes = [each for each in known if id(each) not in self.membranes]
        wanted = spikes or [each for each in known if self.sources[id(each)] == self.sources[id(known[0])]]
        places: dict[tuple[str, ...], dict[int, int]] = {}
        for place, each in enumerate(tensors):
            if any(each is other for other in wanted):
                places.setdefault(self.sources[id(each)], {}).setdefault(id(each), place)
        self.found.outputs = [self.one(names) for names in places]
        self.found.returned, self.found.count = tuple(tuple(each.values()) for each in places.values()), len(tensors)
        self.found.returns_membrane = not spikes
        return self.found

    def is_input(self, names: tuple[str, ...]) -> bool:
        """Whether these are names of inputs alone."""
        return all(name.startswith(INPUT) for name in names)


def _settings(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if not key.startswith("_")}
