"""The models of neurons that an integer network can hold, and how they may follow each other."""

from __future__ import annotations

from collections.abc import Sequence

from spikeport.errors import UserError
from spikeport.export.network.neurons.base import NeuronModel
from spikeport.export.network.neurons.cuba import CUBA
from spikeport.export.network.neurons.sigma_delta import DELTA, SIGMA, SIGMA_DELTA

NEURONS: dict[str, NeuronModel] = {model.name: model for model in (CUBA, DELTA, SIGMA_DELTA, SIGMA)}


def check_order(names: Sequence[str], models: Sequence[NeuronModel]) -> None:
    """Checks that layers with these neurons can follow each other.

    Args:
        names: names of the layers, in order.
        models: their neurons.

    Raises:
        UserError: the families differ, or a model is not where it belongs.
    """
    first, last = models[0], len(models) - 1
    for index, (name, model) in enumerate(zip(names, models, strict=True)):
        if model.family != first.family:
            raise UserError(
                f"has {model.name} neurons after {first.name} ones", where=name,
                cause="netx resets CUBA neurons between samples and sigma-delta neurons never, so that samples after "
                "the first would not begin in a defined state", hint="use neurons of one family",
            )  # fmt: skip
        if index != {"first": 0, "last": last}.get(model.only, index):
            cause = {"first": "they encode the input", "last": "they send a whole sum, which sigmas would sum again"}
            raise UserError(f"{model.name} neurons belong in the {model.only} layer", where=name,
                            cause=cause[model.only], hint="put them there alone")  # fmt: skip
