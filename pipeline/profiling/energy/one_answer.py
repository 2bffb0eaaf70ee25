"""One isolated inference: a layer's spikes reach the next layer a time step later, so the last layer ends later."""

from __future__ import annotations

from dataclasses import replace

from spikeport.pipeline.profiling.counts import Activity


def steps_to_answer(activity: Activity) -> int:
    """Time steps from the first input to the last output of one inference: T + layers - 1."""
    return activity.steps + len(activity.layers) - 1


def one_answer(activity: Activity) -> Activity:
    """The counts of one isolated inference, without another one before or after it.

    In a stream, an inference begins every T steps while the deeper layers still work on the one before. Alone, all
    neurons are updated in T + layers - 1 steps. The updates that are added are active in layers with a bias and
    inactive elsewhere; events and spikes are the same.

    Args:
        activity: the counts of a stream, T steps for each inference.
    """
    steps = steps_to_answer(activity)
    added = steps - activity.steps
    layers = tuple(
        replace(
            layer,
            steps=steps,
            updates_active=layer.updates_active + (layer.neurons * added if layer.biases else 0),
            updates_nonzero=None
            if layer.updates_nonzero is None
            else layer.updates_nonzero + (layer.neurons * added if layer.biases else 0),
        )
        for layer in activity.layers
    )
    return replace(activity, layers=layers, steps=steps)
