"""Texts made of numbers, for the Markdown and the HTML page."""

from __future__ import annotations

import math
from typing import Any

from spikeport.export.backends.compare import title_of
from spikeport.pipeline.report.content.equality_json import Equality, FirstDivergence
from spikeport.pipeline.report.content.recall import Recall
from spikeport.pipeline.report.content.report_json import Report, RunDifference, StageAccuracy, StageChange
from spikeport.pipeline.run.intervals import Accuracy, PairedDifference
from spikeport.values import IntervalJson

AnyAccuracy = StageAccuracy | Accuracy | Recall
AnyDifference = PairedDifference | StageChange | RunDifference

STAGES = {  # name and explanation
    "teacher": ("Teacher", "ANN on static images"),
    "student_float": ("Student, float", "spiking network on events"),
    "student_quantized": ("Student, quantized", "Loihi arithmetic, in PyTorch"),
    "reference": ("Integer reference", "integers, as exported to netx"),
}
CHANGE_NOTE = (
    "Change: from the stage before that is known, in points, recording by recording on those that both have read (the "
    "teacher reads a recording's image), with Bonett and Price's 95 % interval."
)
CHECK_NOTE = (
    "Entries: every recording, step and neuron of the compared layers. Spikes: how many of them were 1 in the first "
    "execution."
)
SILENT_NOTE = "No answer: recordings without any output spike, which count as wrong."
LAYER_NOTE = (
    "Per recording, means over the {recordings}. Rate: spikes per neuron and step. Dense: operations if every input "
    "fired at every step. Weight error: norm of what rounding changed over norm of the weights. Decay error: what a "
    "step takes too much or too little of current or voltage (the larger), as a share of it. Saturated: weights "
    "clipped."
)
BASES = {
    "measured": "read from an instrument or a clock in this run",
    "modeled": "counted operations times published energies per operation; on a GPU, its launch and peak rates",
    "convention": "counted operations times a convention's energies: arithmetic alone, no device",
    "floor": "full throughput at full power, for comparison: no bound, and no small network comes near it",
    "unknown": "an operation has no published energy; unknown is not zero",
}
NO_ANSWER = "no answer"  # for a recording without an output spike; not a class


def percent(value: float | None) -> str:
    """A share as percent with one decimal.

    >>> percent(0.97)
    '97.0 %'
    """
    return "unknown" if value is None else f"{100 * value:.1f} %"


def stage_name(stage: str) -> str:
    """Title of a stage; the name of a backend in sentences."""
    return STAGES[stage][0] if stage in STAGES else title_of(stage)


def stage_note(stage: str) -> str:
    """Explanation of a stage in a few words."""
    return STAGES[stage][1] if stage in STAGES else "the exported network in another simulator"


def pair_name(check: Equality) -> str:
    """The two executions of a comparison: `quantized student and integer reference`."""
    return f"{title_of(check['first'])} and {title_of(check['second'])}"


def of_recordings(report: Report) -> str:
    """`test recordings` where they were held out, else `given recordings`."""
    return f"{report['dataset'].get('recordings', 'test')} recordings"


def outputs_word(report: Report) -> str:
    """`classes`; `outputs` for given recordings without labels, since it is not known what the outputs stand for."""
    labeled = any(entry["value"] is not None for entry in report["accuracy"].values())
    return "classes" if labeled or report["dataset"].get("recordings", "test") == "test" else "outputs"


IF_DRAWN = "if they were drawn at random"  # it is not known how recordings from a user were chosen


def if_drawn(report: Report) -> str:
    """Condition of an interval, to append to it; empty where the run itself held the recordings out."""
    return "" if report["dataset"].get("recordings", "test") == "test" else f", {IF_DRAWN}"


def accuracy_note(report: Report) -> str:
    """Notes under the table of accuracies."""
    given = f"Intervals hold for given recordings {IF_DRAWN}. " if if_drawn(report) else ""
    return f"{given}{SILENT_NOTE} {CHANGE_NOTE}"


def layer_note(report: Report) -> str:
    """Definitions of the numbers in the table of layers."""
    return LAYER_NOTE.format(recordings=of_recordings(report))


def tested(entry: StageAccuracy) -> tuple[str, str]:
    """Number of recordings behind an accuracy, and number of recordings without an answer, as texts."""
    return tested_on(entry), silent_count(entry)


def silent_count(entry: AnyAccuracy) -> str:
    """Number of recordings without an answer; `not counted` for older reports."""
    silent = entry.get("silent")
    return "not counted" if silent is None else f"{silent:,}"


def silent_note(entry: AnyAccuracy) -> str:
    """`6 no answer`; empty where each recording has an answer."""
    silent = entry.get("silent")
    return f"{NO_ANSWER} not counted" if silent is None else f"{silent:,} {NO_ANSWER}" if silent else ""


def percent_range(entry: AnyAccuracy) -> str:
    """The interval of an accuracy: `93.6 to 98.6 %`, or the reason why there is none."""
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return f"no interval: {entry.get('reason')}"
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def points(value: float | None) -> str:
    """A difference of shares in percentage points with its sign.

    >>> points(-0.005)
    '−0.5'
    """
    if value is None:
        return "unknown"
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def points_range(entry: AnyDifference) -> str:
    """The interval of a difference: `−1.2 to +4.1`."""
    return f"{points(entry['low'])} to {points(entry['high'])}"


def interval_of(entry: AnyAccuracy | AnyDifference) -> IntervalJson:
    """A known accuracy or difference as an interval; without an interval, low and high are the value itself."""
    value, low, high = entry["value"], entry["low"], entry["high"]
    assert value is not None
    return {"low": value if low is None else low, "nominal": value, "high": value if high is None else high}


def tested_on(entry: StageAccuracy) -> str:
    """Number of recordings behind an accuracy, and how they were drawn: `20 drawn by class, seed 0`."""
    return f"{entry['n']:,}{drawn_note(entry)}"


def drawn_note(entry: StageAccuracy | Equality) -> str:
    """` drawn by class, seed 0`; empty where all recordings were used."""
    drawn = entry.get("drawn")
    if drawn is None or drawn["of"] in (entry.get("n"), entry.get("samples")):
        return ""
    return f" drawn {'by class' if drawn['classes'] else 'at random'}, seed {drawn['seed']}"


def change(entry: StageChange) -> str:
    """Change of accuracy between two stages: `−0.5 points (−1.6 to +0.5) from Student, float on the same 200`."""
    before = stage_name(entry["from"])
    return f"{points(entry['value'])} points ({points_range(entry)}) from {before} on the same {entry['n']:,}"


def amount(value: float | None) -> str:
    """A quantity with three significant digits, thousands separated by commas.

    >>> amount(1281.3), amount(0.012345), amount(27.1), amount(0)
    ('1,281', '0.0123', '27.1', '0')
    """
    if value is None:
        return "unknown"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def milliseconds(seconds: float) -> str:
    """A time in milliseconds: `30 ms`, `7.5 ms`."""
    return f"{1e3 * seconds:.6g} ms"


def moment(step: int, dt_s: float | None) -> str:
    """Start of a time step: `60 ms`, or the number of the step where its duration is not known.

    >>> moment(2, 0.03), moment(2, None)
    ('60 ms', 'step 2')
    """
    return f"step {step}" if dt_s is None else milliseconds(dt_s * step)


def quantity(value: Any) -> IntervalJson | None:
    """A number or a JSON interval as an interval; None where the value is unknown."""
    if isinstance(value, dict):
        nominal = value.get("nominal")
        if nominal is None:
            return None
        low, high = value.get("low"), value.get("high")
        return {"low": nominal if low is None else low, "nominal": nominal, "high": nominal if high is None else high}
    return None if value is None else {"low": value, "nominal": value, "high": value}


def quantity_text(value: Any, unit: str) -> str:
    """`3.21 µJ (2.9 to 4.1)`, `3.21 µJ` where low and high are equal, or `unknown`."""
    known = quantity(value)
    if known is None:
        return "unknown"
    text = f"{amount(known['nominal'])} {unit}"
    if known["low"] == known["high"]:
        return text
    return f"{text} ({amount(known['low'])} to {amount(known['high'])})"


def basis_kind(basis: str | None, value: Any) -> str:
    """Basis of a quantity: measured, modeled or unknown; floor in reports of older versions.

    Args:
        basis: basis in report.json; any text without `floor` that does not begin with `measured` is a model.
        value: the quantity, which determines whether it is unknown.
    """
    if quantity(value) is None:
        return "unknown"
    word = (basis or "").lower()
    if "floor" in word:
        return "floor"
    return "measured" if word.startswith("measured") else "modeled"


def listing(value: Any) -> str:
    """A list or a mapping of notes as one line, separated by semicolons."""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {listing(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return "; ".join(listing(entry) for entry in value)
    return "" if value is None else str(value)


def divergence(value: FirstDivergence | None) -> str:
    """The first entry at which two executions differ, in words.

    >>> divergence({"sample": 4, "layer": "conv2", "neuron": [1, 0, 3], "step": 7, "first": 1, "second": 0})
    'sample 4, layer conv2, neuron (1, 0, 3), step 7: 1 against 0'
    """
    if value is None:
        return "none"
    neuron = ", ".join(str(index) for index in value["neuron"])
    where = f"sample {value['sample']}, layer {value['layer']}, neuron ({neuron}), step {value['step']}"
    return f"{where}: {value['first']} against {value['second']}"


def finding(entry: AnyDifference, first: str, second: str) -> str:
    """Conclusion from a paired difference.

    Args:
        entry: accuracy of `first` minus accuracy of `second`.
        first: name of the first method or run.
        second: name of the second.
    """
    if entry["low"] > 0:
        return f"{first} is better than {second} on these recordings"
    if entry["high"] < 0:
        return f"{first} is worse than {second} on these recordings"
    return f"the interval includes zero: {entry['n']:,} recordings cannot tell {first} and {second} apart"


def part(value: float | None, whole: float) -> str:
    """A share as percent: `12.3 %`.

    Args:
        value: the part; None where it is unknown.
        whole: the whole, in the same unit.
    """
    return "unknown" if value is None or not whole else f"{amount(100 * value / whole)} %"


def per_item(latency: Any, batch: int | str) -> str:
    """Time of one item of a batch: `12.3 µs`.

    Args:
        latency: time of the batch, µs: a number or an interval; None where it is unknown.
        batch: size of the batch; for `any` the time is unknown.
    """
    known = quantity(latency)
    return "unknown" if known is None or isinstance(batch, str) else f"{amount(known['nominal'] / batch)} µs"


def error(value: float | None) -> str:
    """A relative error as percent; `none` for an error of exactly 0."""
    return "not known" if value is None else "none" if value == 0 else f"{amount(100 * value)} %"
