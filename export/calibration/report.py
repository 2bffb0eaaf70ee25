"""Report of a calibration: for each layer and end to end, compared with the network with max-abs scales."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeport.export.calibration.state_peaks import StatePeaks
from spikeport.export.network.fixed_point import ACCUMULATOR_LIMIT, STATE_LIMIT

CRITERION = (
    "spike distance: difference of spike counts so far, averaged over steps, summed over neurons, per spike of the "
    "float graph"
)


@dataclass(frozen=True, kw_only=True)
class LayerCalibration:
    """One layer. Fields that begin with `max_abs_` are of the network with max-abs scales, the others of the selected
    network.

    Attributes:
        name: name of the layer.
        searched: whether its scale was searched; False if the graph states it.
        tried: number of scales measured.
        scale: chip units for one unit of the graph.
        distance: `spike_distance` on the frames of the search, with the spikes of the previous integer layers as
            input and the scale that the search found.
        clipped: number of weights clipped to the end of the grid.
        spikes: spikes of the float graph on the frames of the check.
        mismatches: (neuron, time step) pairs that differ from the float graph on the frames of the check, where each
            network runs on its own spikes.
        rate_error: differences of spike counts on the frames of the check, per spike of the float graph.
        threshold_steps: the threshold in steps of the weight grid.
        accumulator_bound: the largest possible input sum; Loihi 1's limit is 2^21.
        peaks: largest sums and states on the frames of the check.
        v_decay_error: error of the voltage decay, a fraction per time step.
        i_decay_error: error of the current decay, a fraction per time step.
    """

    name: str
    searched: bool
    tried: int
    max_abs_scale: float
    scale: float
    max_abs_distance: float
    distance: float
    max_abs_clipped: int = 0
    clipped: int = 0
    spikes: int = 0
    max_abs_mismatches: int = 0
    mismatches: int = 0
    max_abs_rate_error: float = 0.0
    rate_error: float = 0.0
    threshold_steps: float = 0.0
    accumulator_bound: int = 0
    peaks: StatePeaks = field(default_factory=StatePeaks)
    v_decay_error: float = 0.0
    i_decay_error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """Result of the search. `max_abs_*`, `searched_*` and `float_*`: with max-abs scales, with searched scales, and of
    the float graph, all on the frames of the check.

    Attributes:
        bits: bits of a weight.
        selected: "searched" or "max_abs", the scales of the network that `calibrate` returns.
        samples_searched: number of samples of the search.
        samples_checked: number of samples of the check.
        steps: time steps of a sample.
        max_abs_distance: distance of the output from that of the float graph.
        max_abs_agreement: fraction of samples with the class of the float graph.
        max_abs_accuracy: fraction of labeled samples classified correctly; None without labels.
        max_abs_silent: samples without output spike, which have no class and count as wrong.
        events: events in the frames.
        events_lost: events lost by making counts legal inputs.
        layers: the layers in order.
        unlabeled: samples of the check without a label.
        criterion: how distances are defined, for people.
        notes: what a reader should know.
    """

    bits: int
    selected: str
    samples_searched: int
    samples_checked: int
    steps: int
    max_abs_distance: float
    searched_distance: float
    max_abs_agreement: float
    searched_agreement: float
    max_abs_accuracy: float | None
    searched_accuracy: float | None
    float_accuracy: float | None
    events: int
    events_lost: int
    layers: tuple[LayerCalibration, ...]
    max_abs_silent: int = 0
    searched_silent: int = 0
    float_silent: int = 0
    unlabeled: int = 0
    criterion: str = CRITERION
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as lines of text."""
        lines = [f"{self.bits} bits, {self.samples_searched} samples to search, {self.samples_checked} to check"]
        lines += [f"criterion: {self.criterion}"]
        for row in self.layers:
            change = row.scale / row.max_abs_scale
            lines.append(
                f"{row.name}: best scale {row.scale:.6g} ({change:.3g} of the max-abs scale's, {row.tried} tried), "
                f"distance {row.max_abs_distance:.4g} -> {row.distance:.4g}, {row.clipped} clipped, threshold "
                f"{row.threshold_steps:.4g} weight steps; sum of |weights| {row.accumulator_bound:,} of "
                f"{ACCUMULATOR_LIMIT:,}, reached {row.peaks.accumulated:,}; |u| {row.peaks.current:,}, "
                f"|v| {row.peaks.voltage:,} of {STATE_LIMIT:,}"
            )
            lines.append(
                f"{row.name}: on the check {row.max_abs_mismatches:,} -> {row.mismatches:,} neuron-steps differ, rates "
                f"are off by {row.max_abs_rate_error:.4g} -> {row.rate_error:.4g}, of {row.spikes:,} float spikes"
            )
            if row.peaks.wraps or row.peaks.saturations:
                lines.append(
                    f"{row.name}: WARNING: the current wrapped {row.peaks.wraps:,} times, the voltage saturated "
                    f"{row.peaks.saturations:,} times"
                )
        lines.append(
            f"output distance {self.max_abs_distance:.4g} (max-abs) -> {self.searched_distance:.4g} (searched): "
            f"{self.selected} scales selected; same class as the float graph {100 * self.max_abs_agreement:.1f} % -> "
            f"{100 * self.searched_agreement:.1f} %"
        )
        if self.max_abs_silent or self.searched_silent or self.float_silent:
            lines.append(
                f"without any output spike, so without an answer: {self.float_silent} (float), {self.max_abs_silent} "
                f"(max-abs), {self.searched_silent} (searched) of {self.samples_checked}"
            )
        if self.float_accuracy is not None and self.max_abs_accuracy is not None and self.searched_accuracy is not None:
            lines.append(
                f"accuracy {100 * self.float_accuracy:.1f} % (float), {100 * self.max_abs_accuracy:.1f} % (max-abs), "
                f"{100 * self.searched_accuracy:.1f} % (searched)"
                + (f", without {self.unlabeled} unlabeled" if self.unlabeled else "")
            )
        return [*lines, *(f"NOTE: {note}" for note in self.notes)]
