"""The integer network that runs on the chip, as immutable values that are validated when they are created.

A layer consists of synapses (dense or convolution) and the neurons that they drive, in Loihi's units: a weight step is
1, a membrane step is 1/64 of a weight step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import distinct, weight_fault
from spikeport.export.network.geometry import conv_extent
from spikeport.export.network.input_range import MESSAGE_BITS_LIMIT, input_range
from spikeport.export.network.neurons.base import NeuronModel
from spikeport.export.network.neurons.sigma_delta import MESSAGE_BITS
from spikeport.export.network.neurons.table import NEURONS, check_order
from spikeport.export.network.readout import Readout
from spikeport.values import Shape

Parameter = int | np.ndarray  # one value for all neurons, or int32 of `output_shape`


@dataclass(frozen=True, kw_only=True)
class IntegerLayer:
    """Synapses and their neurons, in Loihi's integers.

    Neurons are CUBA, or those that `neuron` names; `neurons.sigma_delta` has the equations of these. In each time
    step of CUBA neurons, with the input spikes x and the layer's own spikes s of the previous step:
    u = wrap(decay(u, i_decay) + 64 (weight x + weight_rec s)); v = saturate(decay(v, v_decay) + u + 64 bias);
    if v > 64 vth_mant, the neuron fires and v becomes 0. The functions are those of `fixed_point`.

    Attributes:
        name: the layer's name.
        kind: "dense", "conv", or "input": neurons without synapses, driven by `weight[0] * x + bias` in each step, as
            in the input layers of SLAYER; only as the first layer.
        weight: integers `(Cout, Cin/groups, kH, kW)` or `(out, in)`.
        bias: integers, one per output channel or one per neuron, or None.
        i_decay: decay of the current per step in units of 1/4096 (iDecay): one number, or one per neuron, which only
            simulators support.
        v_decay: decay of the voltage, as `i_decay` (vDecay).
        vth_mant: threshold mantissa, one number or one per neuron, as `i_decay`.
        neuron: model of the neurons, a key of `NEURONS`. Sigma-delta neurons have decays of 0 and one threshold.
        input_shape: `(C, H, W)` or `(N,)`.
        stride: stride of a convolution, (height, width).
        padding: zeros on each side, (height, width).
        dilation: dilation of a convolution, (height, width).
        groups: number of groups of channels.
        weight_rec: `(out, out)`, applied to this layer's spikes of the previous step; dense layers only.
        delay: delay of input spikes in time steps, broadcastable to `(out, in)`; dense layers only. With `weight_rec`
            it is one value or one per row, and delays recurrent spikes too.
        scale: integer units per float unit of the original graph; None for a layer from a file.
        clones: copies of each neuron, neighbors of each other, that `quantize` made; 1 for a layer from a file.

    Raises:
        UserError: the layer is not legal on Loihi. Rules of netx are in `formats.netx.rules`.
    """

    name: str
    kind: Literal["dense", "conv", "input"]
    weight: np.ndarray
    bias: np.ndarray | None
    i_decay: Parameter
    v_decay: Parameter
    vth_mant: Parameter
    input_shape: Shape
    neuron: str = "cuba"
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_rec: np.ndarray | None = None
    delay: np.ndarray | None = None
    scale: float | None = None
    clones: int = 1

    def __post_init__(self) -> None:
        for key in ("weight", "bias", "weight_rec", "delay"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _frozen_integers(getattr(self, key), self.name, key))
        self._check_synapse()
        self._check_neurons()
        self._check_ranges()

    def _check_synapse(self) -> None:
        ranks = {"dense": 2, "conv": 4, "input": 1}
        if self.kind not in ranks:
            raise UserError(f"layer kind {self.kind!r} is unknown", where=self.name, hint="use dense or conv")
        if self.weight.ndim != ranks[self.kind]:
            raise UserError(f"a {self.kind} weight has {ranks[self.kind]} axes, this one has shape {self.weight.shape}",
                            where=self.name)  # fmt: skip
        if self.kind != "dense" and (self.weight_rec is not None or self.delay is not None):
            raise UserError(f"a {self.kind} layer takes neither recurrent weights nor delays", where=self.name,
                            cause="netx has them for dense layers only")  # fmt: skip
        if self.kind == "conv":
            self._check_convolution()
        elif self.kind == "input":
            if self.weight.size != 1:
                raise UserError(f"an input layer has one weight, this one has {self.weight.size}", where=self.name)
        elif int(np.prod(self.input_shape)) != self.weight.shape[1]:
            raise UserError(f"weight {self.weight.shape} expects {self.weight.shape[1]} inputs, the layer before gives "
                            f"{self.input_shape}", where=self.name)  # fmt: skip
        outputs = self.weight.shape[0]
        if self.weight_rec is not None and self.weight_rec.shape != (outputs, outputs):
            raise UserError(f"weight_rec has shape {self.weight_rec.shape}, expected ({outputs}, {outputs})",
                            where=self.name)  # fmt: skip
        if self.delay is not None:
            self._check_delay(self.delay)

    def _check_delay(self, delay: np.ndarray) -> None:
        forms = {(rows, columns) for rows in (1, self.weight.shape[0]) for columns in (1, self.weight.shape[1])}
        if delay.shape not in forms:
            raise UserError(f"delay has shape {delay.shape}, which does not broadcast to {self.weight.shape}",
                            where=self.name)  # fmt: skip
        if delay.min() < 0:
            raise UserError(f"a delay of {int(delay.min())} steps is negative", where=self.name)
        if self.weight_rec is not None and delay.shape[1] != 1:
            raise UserError("has delays per input beside recurrent weights", where=self.name,
                            cause="netx delays both by the same values", hint="use one delay a neuron")  # fmt: skip
        if self.weight_rec is not None and self.weight.shape != self.weight_rec.shape:
            raise UserError(f"is recurrent with delays and has {self.weight.shape[1]} inputs for "
                            f"{self.weight.shape[0]} neurons", where=self.name,
                            cause="netx takes one delay for both matrices, which must then have one shape",
                            hint="leave the delay out, or use as many inputs as neurons")  # fmt: skip

    def _check_convolution(self) -> None:
        if len(self.input_shape) != 3:
            raise UserError(f"a convolution needs (C, H, W) input, got {self.input_shape}", where=self.name)
        channels = self.input_shape[0]
        if self.groups < 1 or self.weight.shape[1] * self.groups != channels or self.weight.shape[0] % self.groups:
            raise UserError(
                f"weight {self.weight.shape} with groups={self.groups} does not fit {channels} input channels",
                where=self.name,
            )
        if min(*self.stride, *self.dilation, *self.weight.shape[2:]) < 1 or min(self.padding) < 0:
            raise UserError("stride, dilation and kernel size start at 1, padding at 0", where=self.name)
        if min(self.output_shape) < 1:
            raise UserError(
                f"kernel {self.weight.shape[2:]} is larger than the padded input {self.input_shape[1:]}",
                where=self.name,
            )

    def _check_neurons(self) -> None:
        shape = self.output_shape
        if self.neuron not in NEURONS or self.kind not in self.model.kinds:
            raise UserError(f"a {self.kind} layer cannot have {self.neuron!r} neurons", where=self.name)
        if self.bias is not None and self.bias.shape not in ((shape[0],), shape):
            raise UserError(f"bias has shape {self.bias.shape}, expected ({shape[0]},) or {shape}", where=self.name)
        if self.kind == "input" and self.bias is not None and np.any(self.bias != self.bias.flat[0]):
            raise UserError("an input layer has one bias for all neurons, this one has several", where=self.name,
                            cause="netx reads one number there")  # fmt: skip
        for key in ("i_decay", "v_decay", "vth_mant"):
            value = np.asarray(getattr(self, key))
            if value.ndim and value.shape != shape:
                raise UserError(f"{key} has shape {value.shape}, expected one number or {shape}", where=self.name)
            values = _frozen_integers(value, self.name, key)
            one = values.ndim == 0 or bool(np.all(values == values.flat[0]))
            object.__setattr__(self, key, int(values.flat[0]) if one else values)

    def _check_ranges(self) -> None:
        if self.kind != "input":
            both = [array for array in (self.weight, self.weight_rec) if array is not None]
            fault = weight_fault(np.concatenate([distinct(array) for array in both]))  # netx has one exponent for both
            if fault:
                raise UserError(f"weights cannot go to the chip: {fault}", where=self.name)
        self.model.check_ranges(self.name, {key: getattr(self, key) for key in self.model.ranges})
        if self.model.sends_values and (np.ndim(self.vth_mant) or self.weight_rec is not None):
            what = "a threshold of each neuron" if np.ndim(self.vth_mant) else "recurrent weights"
            raise UserError(f"{self.neuron} neurons with {what}", where=self.name,
                            cause="Lava has one threshold a layer, and lava-dl no recurrent layer of them")  # fmt: skip

    @property
    def model(self) -> NeuronModel:
        """The row of `NEURONS` for these neurons."""
        return NEURONS[self.neuron]

    @property
    def output_shape(self) -> Shape:
        """`(Cout, H, W)` of a convolution (NIR infers it wrongly for kernels that are not square), or `(out,)`."""
        if self.kind == "dense":
            return (self.weight.shape[0],)
        if self.kind == "input":
            return tuple(self.input_shape)
        extent = conv_extent(
            self.input_shape[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation
        )  # fmt: skip
        return (self.weight.shape[0], *extent)

    @property
    def bias_map(self) -> np.ndarray:
        """Bias of each neuron, int64 of `output_shape`; zeros without a bias."""
        if self.bias is None:
            return np.zeros(self.output_shape, dtype=np.int64)
        bias = self.bias.astype(np.int64)
        if bias.shape != self.output_shape:
            bias = bias.reshape(-1, *(1 for _ in self.output_shape[1:]))
        return np.array(np.broadcast_to(bias, self.output_shape))

    @property
    def max_delay(self) -> int:
        """Longest synaptic delay in time steps."""
        return 0 if self.delay is None else int(self.delay.max())

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.output_shape))


@dataclass(frozen=True, kw_only=True)
class IntegerNetwork:
    """A chain of integer layers. A dense layer flattens the output of a convolution in the order C, H, W.

    Attributes:
        input_shape: `(C, H, W)` or `(N,)` of one time step.
        layers: the layers in order.
        input_message_bits: 0 if inputs are spikes; else inputs are counts of 0 to 2^bits - 1 (graded spikes of
            Loihi 2). Sigma-delta layers without a delta layer before them take messages of 16 bits with a sign.
        readout: how output spikes become a class.

    Raises:
        UserError: a layer does not fit the previous one.
    """

    input_shape: Shape
    layers: tuple[IntegerLayer, ...]
    input_message_bits: int = 0
    readout: Readout = field(default_factory=Readout)

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("a network needs at least one layer")
        shape = self.input_shape
        for index, layer in enumerate(self.layers):
            if tuple(layer.input_shape) != tuple(shape):
                raise UserError(f"expects input {layer.input_shape}, the layer before gives {shape}", where=layer.name)
            if layer.kind == "input" and index:
                raise UserError("an input layer comes after other layers", where=layer.name)
            shape = layer.output_shape
        check_order([layer.name for layer in self.layers], [layer.model for layer in self.layers])
        self._check_messages()
        self.readout.check(int(np.prod(self.output_shape)))

    def _check_messages(self) -> None:
        first, last, bits = self.layers[0], self.layers[-1], self.input_message_bits
        if self.sends_values != (self.readout.kind == "values"):
            raise UserError(f"a {self.readout.kind} read-out does not fit {last.neuron} neurons", where=last.name)
        if bits and first.kind == "input":
            raise UserError("an input layer with neurons takes no messages", where=first.name)
        if self.sends_values and bits != (0 if first.kind == "input" else MESSAGE_BITS):
            raise UserError(f"input_message_bits = {bits}, and messages have {MESSAGE_BITS} bits", where=first.name)
        if not self.sends_values and not 0 <= bits <= MESSAGE_BITS_LIMIT:
            raise UserError(f"input_message_bits = {bits} is outside 0..{MESSAGE_BITS_LIMIT}")

    @property
    def sends_values(self) -> bool:
        """Whether layers exchange integers with a sign, not spikes."""
        return self.layers[0].model.sends_values

    @property
    def input_limit(self) -> int:
        """Largest legal value of an input: 1 for spikes."""
        return self._input_range[1]

    @property
    def input_lowest(self) -> int:
        """Smallest legal value of an input: 0, or a negative one of a sigma-delta network."""
        return self._input_range[0]

    @property
    def _input_range(self) -> tuple[int, int]:
        first = self.layers[0]
        drive = (int(first.weight[0]), int(first.bias_map.flat[0])) if first.kind == "input" else None
        return input_range(first.model, drive, self.input_message_bits)

    @property
    def outputs(self) -> int:
        """Number of classes of the read-out."""
        return self.readout.outputs(self.layers[-1].neurons)

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer's spikes."""
        return self.layers[-1].output_shape


def _frozen_integers(array: np.ndarray, layer: str, what: str) -> np.ndarray:
    values = np.asarray(array)
    integers = values.astype(np.int32, order="C")  # a copy
    if values.dtype.kind not in "iuf" or not np.array_equal(integers, values):
        raise UserError(f"{what} holds values that are not integers", where=layer,
                        cause="netx would truncate them toward zero", hint="quantize the network first")  # fmt: skip
    integers.setflags(write=False)
    return integers
