"""The integer network: what runs on the chip, as frozen NumPy values that refuse to exist if illegal.

One layer is a synapse (dense or convolution) and the neurons it feeds, in Loihi's units: a weight step is 1, a
membrane step is 1/64 of it. See `fixed_point` for the arithmetic and `netx` for the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from export.fixed_point import BIAS_LIMIT, DECAY_ONE, THRESHOLD_LIMIT, weight_fault
from hardware_profiles.errors import UserError

GEOMETRY_LIMIT = 127  # netx keeps stride, padding, dilation, groups and kernel size in int8


@dataclass(frozen=True, kw_only=True)
class IntegerLayer:
    """A synapse and its neurons. Shapes are torch's: `(C, H, W)` or `(N,)`, weight `(Cout, Cin/groups, kH, kW)` or
    `(out, in)`.

    `i_decay`, `v_decay`: what a step takes from current and voltage, in 4096ths (iDecay, vDecay). `vth_mant`:
    threshold; a neuron fires when its voltage is greater than 64 * vth_mant. `bias`: one integer per output channel,
    or None. `scale`: integer units per float unit of the graph this came from (None if it came from a file).
    Raises UserError naming the layer and the rule where the chip or netx could not run it exactly.
    """

    name: str
    kind: Literal["dense", "conv"]
    weight: np.ndarray
    bias: np.ndarray | None
    i_decay: int
    v_decay: int
    vth_mant: int
    input_shape: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    scale: float | None = None

    def __post_init__(self) -> None:
        weight = _frozen_integers(self.weight, self.name, "weight")
        object.__setattr__(self, "weight", weight)
        if self.bias is not None:
            object.__setattr__(self, "bias", _frozen_integers(self.bias, self.name, "bias"))
        self._check_shapes()
        self._check_ranges()

    def _check_shapes(self) -> None:
        ranks = {"dense": 2, "conv": 4}
        if self.kind not in ranks:
            raise UserError(f"layer kind {self.kind!r} is unknown", where=self.name, mend="use dense or conv")
        if self.weight.ndim != ranks[self.kind]:
            raise UserError(
                f"a {self.kind} weight has {ranks[self.kind]} axes, this one has shape {self.weight.shape}",
                where=self.name,
            )
        if self.kind == "dense":
            if int(np.prod(self.input_shape)) != self.weight.shape[1]:
                raise UserError(
                    f"weight {self.weight.shape} expects {self.weight.shape[1]} inputs, the layer before gives "
                    f"{self.input_shape}",
                    where=self.name,
                )
        else:
            if len(self.input_shape) != 3:
                raise UserError(f"a convolution needs (C, H, W) input, got {self.input_shape}", where=self.name)
            channels = self.input_shape[0]
            if self.weight.shape[1] * self.groups != channels or self.weight.shape[0] % self.groups:
                raise UserError(
                    f"weight {self.weight.shape} with groups={self.groups} does not fit {channels} input channels",
                    where=self.name,
                )
            geometry = (*self.stride, *self.padding, *self.dilation, self.groups, *self.weight.shape[2:])
            if max(geometry) > GEOMETRY_LIMIT:
                raise UserError(
                    f"stride, padding, dilation, groups or kernel size {max(geometry)} is above {GEOMETRY_LIMIT}",
                    where=self.name,
                    why="netx keeps them in 8 bits",
                )
            if min(*self.stride, *self.dilation, self.groups) < 1 or min(self.padding) < 0:
                raise UserError("stride, dilation and groups start at 1, padding at 0", where=self.name)
            if min(self.output_shape) < 1:
                raise UserError(
                    f"kernel {self.weight.shape[2:]} is larger than the padded input {self.input_shape[1:]}",
                    where=self.name,
                )
        if self.bias is not None and self.bias.shape != (self.weight.shape[0],):
            raise UserError(f"bias has shape {self.bias.shape}, expected ({self.weight.shape[0]},)", where=self.name)

    def _check_ranges(self) -> None:
        fault = weight_fault(self.weight)
        if fault:
            raise UserError(f"weights cannot go to the chip: {fault}", where=self.name)
        for key in ("i_decay", "v_decay"):
            if not 0 <= getattr(self, key) <= DECAY_ONE:
                raise UserError(f"{key} = {getattr(self, key)} is outside 0..{DECAY_ONE}", where=self.name)
        if not 1 <= self.vth_mant <= THRESHOLD_LIMIT:
            raise UserError(
                f"threshold {self.vth_mant} is outside 1..{THRESHOLD_LIMIT}",
                where=self.name,
                why="vThMant has 17 bits",
                mend="rescale the layer's weights, bias and threshold together",
            )
        if self.bias is not None and np.abs(self.bias).max(initial=0) > BIAS_LIMIT:
            raise UserError(
                f"bias {int(np.abs(self.bias).max())} is outside -{BIAS_LIMIT}..{BIAS_LIMIT}",
                where=self.name,
                why="the bias mantissa has 13 bits with its sign",
                mend="choose a smaller scale for this layer, or train with smaller biases",
            )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """`(Cout, H, W)` of a convolution (NIR infers it wrongly for kernels that are not square), or `(out,)`."""
        if self.kind == "dense":
            return (self.weight.shape[0],)
        return (
            self.weight.shape[0],
            *(
                (
                    self.input_shape[1 + axis]
                    + 2 * self.padding[axis]
                    - self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
                    - 1
                )
                // self.stride[axis]
                + 1
                for axis in (0, 1)
            ),
        )

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.output_shape))


@dataclass(frozen=True, kw_only=True)
class IntegerNetwork:
    """A chain of integer layers from `input_shape` on; a dense layer after a convolution flattens C, H, W in order.

    Raises UserError where a layer does not fit the one before it.
    """

    input_shape: tuple[int, ...]
    layers: tuple[IntegerLayer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("a network needs at least one layer")
        shape = self.input_shape
        for layer in self.layers:
            if tuple(layer.input_shape) != tuple(shape):
                raise UserError(f"expects input {layer.input_shape}, the layer before gives {shape}", where=layer.name)
            shape = layer.output_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the last layer's spikes."""
        return self.layers[-1].output_shape


def _frozen_integers(array: np.ndarray, layer: str, what: str) -> np.ndarray:
    values = np.asarray(array)
    integers = values.astype(np.int32)
    if values.dtype.kind not in "iuf" or not np.array_equal(integers, values):
        raise UserError(
            f"{what} holds values that are no integers",
            where=layer,
            why="netx would truncate them toward zero",
            mend="quantise the network first",
        )
    integers = integers.copy()
    integers.setflags(write=False)
    return integers
