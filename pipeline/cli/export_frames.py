"""What `export` does with frames: scales searched on them, and how far rounding moved the behavior."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.calibration.float_comparison import Behavior, behavior, random_behavior
from spikeport.export.formats.frames_file import open_frames
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.run.progress import ProgressPrinter


def moved_by_rounding(graph: SpikingGraph, network: IntegerNetwork, file: Path | None) -> Behavior:
    """How far rounding moved the behavior, on the frames of `file` or on random ones."""
    if file is None:
        return random_behavior(graph, network)
    frames, labels = open_frames(file, graph.input_shape, limit=255, outputs=network.outputs)
    return behavior(graph, network, frames, str(file), labels)


def calibrated(
    graph: SpikingGraph, file: Path, bits: int, message_bits: int, quiet: bool
) -> tuple[Any, Any, dict[str, Any]]:
    """The network with scales searched on the frames of `file`, its rows, and the report."""
    outputs = quantize(graph, bits=bits)[0].outputs
    frames, labels = open_frames(file, graph.input_shape, limit=255, outputs=outputs)
    with ProgressPrinter(quiet=quiet) as progress:
        network, rows, report = calibrate(
            graph,
            frames,
            labels,
            bits=bits,
            input_message_bits=message_bits,
            progress=lambda done, total: progress(done, total, "scales tried"),
        )
    return network, rows, {**asdict(report), "lines": report.lines()}
