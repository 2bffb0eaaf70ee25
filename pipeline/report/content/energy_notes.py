"""Notes on the energy of one device in words: time, board, live operation, range and busiest core."""

from __future__ import annotations

from spikeport.pipeline.report.content.energy_json import EffectJson, EndsJson, EnergyRow
from spikeport.pipeline.report.content.words import amount, percent, quantity, quantity_text

CONSTANTS = {
    "energy.synop": "energy of a synaptic operation",
    "energy.synop_dense": "energy of a synaptic operation, dense",
    "energy.synop_conv": "energy of a synaptic operation, convolution",
    "energy.synop_sparse": "energy of a synaptic operation, sparse",
    "energy.synop_mac": "energy of a multiply-accumulate",
    "energy.neuron_active": "energy of an active neuron update",
    "energy.neuron_inactive": "energy of an inactive neuron update",
    "energy.neuron_event": "energy of a neuron update for an event",
    "energy.spike_local": "energy of a message within a tile",
    "energy.message_out": "energy of a message",
    "energy.spike_out": "energy of a spike at its source",
    "energy.add": "energy of an addition",
    "energy.mul": "energy of a multiplication",
    "static.per_chip_mW": "static power of a chip",
    "static.per_core_mW": "static power of a core",
    "static.per_MHz_mW": "static power per MHz",
    "static.scale": "static power of the used cores alone, or of whole chips",
    "overhead": "host, input, output and reset of the board",
    "latency.t_synop_ns": "time of a synaptic operation",
    "latency.t_synop_conv_ns": "time of a synaptic operation, convolution",
    "latency.t_spike_out_ns": "time of a spike of a neuron",
    "latency.t_message_out_ns": "time to send a message",
    "latency.t_message_in_ns": "time to receive a message",
    "latency.t_neuron_active_ns": "time of an active neuron update",
    "latency.t_neuron_inactive_ns": "time of an inactive neuron update",
    "latency.barrier_ns": "time of the barrier between steps",
    "latency.min_step_us": "shortest step",
    "latency.realtime_step_us": "duration of a step",
    "memory.access_pJ": "energy of a memory access",
    "memory.access_bytes": "bytes of a memory access",
}
ENERGY_NOTE = (
    "Cores: counted operations alone (dynamic energy). Board: what a meter would show above the power of the idle "
    "board. Replayed: with static power, recordings without a pause. Live: with static power for the duration of each "
    "recording. Low and high: all constants low, or all high. Rows of different basis or scope have no ratio."
)


def constant_words(constant: str) -> str:
    """A constant of a profile in words.

    Args:
        constant: its key in the profile, or the choice that is varied.

    >>> constant_words("latency.barrier_ns")
    'time of the barrier between steps'
    """
    return CONSTANTS.get(constant, constant.replace(".", " ").replace("_", " "))


def moves(effect: EffectJson) -> list[tuple[str, EndsJson]]:
    """The energies that a constant moves, in words and with both ends; those that it leaves as they are are left out.

    Args:
        effect: an entry of `sensitivity`.
    """
    found = (
        ("in the cores", effect["dynamic_uj"]),
        ("on the board", effect.get("board_uj")),
        ("in total", effect["total_uj"]),
        ("live", effect.get("live_uj")),
    )
    return [(word, ends) for word, ends in found if ends is not None and ends["low"] != ends["high"]]


def moved_most(effects: list[EffectJson]) -> str:
    """`static power of a chip alone: 15.8 to 39.4 µJ in total`, of the first effect; empty without one."""
    for effect in effects[:1]:
        ends = [f"{amount(move['low'])} to {amount(move['high'])} µJ {word}" for word, move in moves(effect)]
        return f"{constant_words(effect['constant'])} alone: {', '.join(ends)}" if ends else ""
    return ""


def operation_notes(row: EnergyRow) -> dict[str, str]:
    """Notes by title: time, board, live operation, range and busiest core; those that are not known are empty.

    Args:
        row: an `energy` row of report.json.
    """
    return {
        "Latency": _latency(row),
        "Expected board reading": _known(row, "board_uj"),
        "Live": _live(row),
        "One isolated inference": _isolated(row),
        "Middle 90 %": _range(row),
        "Busiest core": _busiest(row),
        "No known number for": "; ".join(row.get("unknown_overhead") or []),
    }


def _known(row: EnergyRow, key: str, unit: str = "µJ") -> str:
    return quantity_text(row.get(key), unit) if quantity(row.get(key)) else ""


def _latency(row: EnergyRow) -> str:
    answer, between = _known(row, "latency_us", "µs"), _known(row, "interval_us", "µs")
    if not answer or not between:
        return answer
    return (
        f"{answer} to one answer ({row.get('steps_to_answer')} steps); an answer every {between} "
        f"({row.get('steps_between')} steps) where recordings are replayed without a pause"
    )


def _live(row: EnergyRow) -> str:
    live, duty = _known(row, "live_uj"), quantity(row.get("duty"))
    if not live or duty is None:
        return row.get("live_unknown") or ""
    busy = percent(duty["nominal"]) if duty["nominal"] >= 1e-3 else f"{amount(100 * duty['nominal'])} %"
    return f"{live} at one recording after another; the chip is busy for {busy} of that time"


def _isolated(row: EnergyRow) -> str:
    isolated = _known(row, "isolated_uj")
    if not isolated or row.get("isolated_uj") == row.get("dynamic_uj"):
        return ""
    return f"{isolated} in the cores: their neurons are updated in all {row.get('steps_to_answer')} steps"


def _range(row: EnergyRow) -> str:
    found = row.get("range90_uj")
    if not found:
        return ""
    named = (("in the cores", found["dynamic"]), ("on the board", found["board"]), ("in total", found["total"]),
             ("live", found["live"]))  # fmt: skip
    ends = [f"{amount(each['low'])} to {amount(each['high'])} µJ {word}" for word, each in named if each]
    return (
        f"{', '.join(ends)}, over {found['draws']:,} draws of each constant by itself. Intervals elsewhere take all "
        "constants low, or all high; neither is a confidence interval"
    )


def _busiest(row: EnergyRow) -> str:
    core = row.get("busiest_core")
    if not core:
        return ""

    def part(interval: object, whole: float, what: str, layer: str) -> str:
        known = quantity(interval)
        assert known is not None
        most = "" if known["high"] == known["low"] else f" (to {amount(known['high'])})"
        return f"{amount(known['low'])}{most} of {amount(whole)} {what}, {layer}"

    return "; ".join(
        (
            part(core["synops"], core["synops_in_all"], "synaptic operations", core["synops_layer"]),
            part(core["updates"], core["updates_in_all"], "neuron updates", core["updates_layer"]),
        )
    )
