"""What a calibration found: per layer and from end to end, with the max-abs scale beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeport.export.calibration.state_peaks import StatePeaks

CRITERION = (
    "spike distance: difference of spike counts so far, averaged over steps, summed over neurons, per spike of the "
    "float graph"
)


@dataclass(frozen=True, kw_only=True)
class LayerCalibration:
    """One layer. `max_abs_`: with the max-abs scale, the others what was kept at the end.

    `tried`: scales measured. `distance`: the criterion on the frames of the search, with the spikes of the integer
    layers before as input (of the scale that the search chose). From the check, each network running on its own:
    `mismatches`, neuron-steps that differ from the float graph's; `rate_error`, differences of spike counts per spike
    of the float graph, `spikes` in number. `clipped`: weights at the end of the grid. `threshold_steps`: the threshold
    in steps of the weight grid. `accumulator_bound`: the largest sum of |weight|, of 2^21 at most; `peaks`: what was
    reached on the frames of the check.
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
    """What the search found, ready for JSON. `kept`: "searched" or "max_abs". Distances are of the output, from end to
    end, on the frames of the check; `agreement` is the share of samples with the float graph's class; accuracies are
    over the labelled samples of the check, None without any; `silent`: samples whose outputs never fired, which have no
    class and count as wrong. `events_lost`: of `events`, by making counts legal inputs.
    """

    bits: int
    kept: str
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
    unlabelled: int = 0
    criterion: str = CRITERION
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as text."""
        lines = [f"{self.bits} bits, {self.samples_searched} samples to search, {self.samples_checked} to check"]
        lines += [f"criterion: {self.criterion}"]
        for row in self.layers:
            change = row.scale / row.max_abs_scale
            lines.append(
                f"{row.name}: best scale {row.scale:.6g} ({change:.3g} of the max-abs scale's, {row.tried} tried), "
                f"distance {row.max_abs_distance:.4g} -> {row.distance:.4g}, {row.clipped} clipped, threshold "
                f"{row.threshold_steps:.4g} weight steps; sum of |weights| {row.accumulator_bound:,} of 2,097,152, "
                f"reached {row.peaks.accumulated:,}; |u| {row.peaks.current:,}, |v| {row.peaks.voltage:,} of 8,388,608"
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
            f"{self.kept} kept; same class as the float graph {100 * self.max_abs_agreement:.1f} % -> "
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
                + (f", without {self.unlabelled} unlabelled" if self.unlabelled else "")
            )
        return [*lines, *(f"NOTE: {note}" for note in self.notes)]
