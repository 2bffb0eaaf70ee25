"""The error for neurons whose reset the chip does not have."""

from __future__ import annotations

from spikeport.errors import NeedsAdaptError
from spikeport.export.graph.frameworks import Framework

ADAPT = "spikeport adapt SOURCE --frames FRAMES.npz --out DIR trains the nearest network that can"


class ResetError(NeedsAdaptError):
    """A reset that cannot go to the chip.

    Args:
        reset: the reset.
        row: the framework whose default it is; None if it was given.
        where: the file.
    """

    def __init__(self, reset: str, row: Framework | None = None, where: str = "") -> None:
        default, self.other_way = "", "train with reset to zero; for snnTorch reset_mechanism='zero'"
        if row is not None:
            default = f", and neurons of {row.title} subtract the threshold unless they are set to do otherwise"
            how = f" ({row.zero_reset})" if row.zero_reset else ""
            self.other_way = f"if this network was trained with reset to zero{how}, give --reset zero"
        super().__init__(
            f"reset {reset!r} cannot go to the chip", where=where,
            cause=f"Loihi resets v to zero when a neuron fires{default}", hint=f"{ADAPT}; or {self.other_way}",
        )  # fmt: skip

    def of_node(self, name: str) -> NeedsAdaptError:
        """The same fault of one node.

        Args:
            name: the node.
        """
        return NeedsAdaptError(self.message, where=name, cause=self.cause, hint=self.other_way)
