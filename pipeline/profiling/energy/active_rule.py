"""Rules for active neuron updates. No source defines which updates are active, so users can choose the rule."""

from __future__ import annotations

from typing import get_args

import numpy as np

from spikeport.errors import UserError
from spikeport.hardware_profiles.schema import ActiveRule
from spikeport.pipeline.profiling.counts import Activity, LayerActivity

RULES: dict[ActiveRule, str] = {
    "received_input_or_bias_or_spiked": "an update is active if an event arrived, a bias is set or the neuron fired",
    "spiked_only": "an update is active if the neuron fired",
    "membrane_nonzero": "an update is active if an event arrived, a bias is set, the neuron fired, or its membrane "
    "or current was not at rest",
}


def known_rule(name: str | None) -> ActiveRule | None:
    """The rule with a name.

    Args:
        name: the name; None or "" for the rule of each device.

    Returns:
        The rule; None for the rule of each device.

    Raises:
        UserError: there is no such rule.
    """
    for rule in get_args(ActiveRule):
        if name == rule:
            return rule
    if name:
        raise UserError(
            f"{name!r} is not a rule for active neuron updates",
            where="active rule",
            hint=f"use one of {', '.join(get_args(ActiveRule))}",
        )
    return None


def rule_of(own: ActiveRule, asked: str | None, activity: Activity) -> ActiveRule:
    """The rule in force.

    Args:
        own: the rule of the device.
        asked: the rule that was asked for; None or "" for the device's own.
        activity: the counts.

    Returns:
        The rule. Where the device's own rule needs a count that a trace of an earlier version lacks, the rule that is
        nearest to it.

    Raises:
        UserError: the rule is unknown, or asks for a count that the trace lacks.
    """
    named = known_rule(asked)
    if named is None and own == "membrane_nonzero" and any(one.updates_nonzero is None for one in activity.layers):
        return "received_input_or_bias_or_spiked"
    return named or own


def active_updates(layer: LayerActivity, rule: ActiveRule) -> np.ndarray:
    """Counts the active neuron-steps of a layer.

    Args:
        layer: counts of the layer.
        rule: the rule.

    Returns:
        int64 `[N]`, one count per sample.

    Raises:
        UserError: the trace was written by a version that did not count what the rule asks for.
    """
    if rule == "membrane_nonzero" and layer.updates_nonzero is None:
        raise UserError(
            "this trace does not count the updates of neurons that are not at rest",
            where="active rule membrane_nonzero",
            cause="it was written by an earlier version",
            hint="simulate again, or use another rule: --active-rule received_input_or_bias_or_spiked",
        )
    counted = {"spiked_only": layer.spikes, "membrane_nonzero": layer.updates_nonzero}.get(rule)
    return layer.updates_active if counted is None else counted


def neuron_by_rule_pj(activity: Activity, bracket_pj: tuple[float, float]) -> dict[ActiveRule, float]:
    """Mean neuron energy of a sample in pJ at nominal constants, by each rule.

    Args:
        activity: the counts.
        bracket_pj: neuron energy with all updates inactive, and with all active, pJ.
    """
    inactive, active = bracket_pj
    updates = activity.samples * sum(layer.updates for layer in activity.layers)
    return {
        rule: inactive
        + (active - inactive) * sum(int(active_updates(layer, rule).sum()) for layer in activity.layers) / updates
        for rule in RULES
        if rule != "membrane_nonzero" or all(layer.updates_nonzero is not None for layer in activity.layers)
    }
