"""A model of neurons as data: the range of each parameter, and what leaves a neuron.

How to add a family of neurons:

1. Write its models in a file of their own beside this one, and list them in `table.py`.
2. Read and write them in `formats.netx` (a file of their own), and simulate them in `backends.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ParameterRange:
    """Legal values of an integer parameter.

    Attributes:
        low: smallest value.
        high: largest value.
        cause: why the range ends there, for an error.
        hint: remedy, for an error.
    """

    low: int
    high: int
    cause: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class NeuronModel:
    """One model of neurons.

    Attributes:
        name: `IntegerLayer.neuron`.
        family: the family, as `neuron/type` of a .net file states it. Networks hold neurons of one family.
        kinds: kinds of layers that may have these neurons.
        ranges: the legal values of `i_decay`, `v_decay`, `vth_mant` and `bias`.
        sends_values: whether messages are integers with a sign, not spikes.
        state_words: words of one neuron's state.
        state_adds: additions of one update, without that of a bias.
        only: "first" or "last" where the model belongs there alone; else "".
    """

    name: str
    family: str
    kinds: tuple[str, ...]
    ranges: Mapping[str, ParameterRange]
    sends_values: bool = False
    state_words: int = 1
    state_adds: int = 0
    only: str = ""

    def check_ranges(self, layer: str, parameters: Mapping[str, Any]) -> None:
        """Checks the parameters of a layer's neurons.

        Args:
            layer: name of the layer.
            parameters: integers by the keys of `ranges`; None is not checked.

        Raises:
            UserError: a value is outside its range.
        """
        for key, given in parameters.items():
            if given is None:
                continue
            legal, values = self.ranges[key], np.asarray(given)
            outside = values[(values < legal.low) | (values > legal.high)]
            if outside.size:
                raise UserError(f"{key} = {int(outside.flat[0])} is outside {legal.low}..{legal.high}", where=layer,
                                cause=legal.cause, hint=legal.hint)  # fmt: skip
