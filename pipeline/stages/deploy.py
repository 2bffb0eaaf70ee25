"""The stages that take the quantized student to the chip's arithmetic: export, simulate, check."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from spikeport.export.backends.compare import SpikeComparison, compare_layers, merge, title_of
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.sampling import draw
from spikeport.export.network.spike_trace import SpikeTrace, load_trace
from spikeport.pipeline.stages.check_result import QUANTIZED, REFERENCE, BackendCheck, CheckResult
from spikeport.pipeline.stages.results import ExportResult, Predictions, SimulationResult, StageOutput
from spikeport.values import Missing

if TYPE_CHECKING:
    from spikeport.pipeline.stages.context import Context

CHECK_SAMPLES = 20  # recordings that other backends simulate, or one of each class where these are more
NOT_COMPARED = {"lava": Missing("the recipe compares no other backend (check.backends = [])")}
CHECK_CHUNK = 100  # recordings whose spikes of all layers are held at once


def export(context: Context) -> StageOutput:
    """student.nir with its metadata file, student.net, teacher.onnx, and what quantization cost per layer.

    The .net is made from the .nir as it was read back, so that what any reader gets is what runs.
    """
    from spikeport.export.formats.metadata import metadata_path
    from spikeport.export.frontends.from_snntorch import to_spiking_graph
    from spikeport.export.graph.spiking_graph import load_graph
    from spikeport.export.quantization.bias_neurons import with_messages
    from spikeport.export.quantization.quantize import quantize
    from spikeport.pipeline.models.storage import export_teacher
    from spikeport.pipeline.stages.train import load_student, load_teacher
    from spikeport.pipeline.training.scaling import scales

    run, dataset = context.run, context.dataset
    student = load_student(context, context.recipe.distillation.method, "quantized")
    input_shape = dataset.test.frames.shape[2:]
    graph = to_spiking_graph(student.deployed(), input_shape, dataset.dt_s, scales(student), wiring=student.wiring())
    nir_file, metadata = run.file("student.nir"), metadata_path(run.file("student.nir"))
    graph.save(nir_file)
    graph = load_graph(nir_file)
    network, table = quantize(graph)
    network = with_messages(network, context.recipe.data.counts.bit_length(), graph)
    write_netx(network, run.file("student.net"))
    write_frames(run.file("test-frames.npz"), np.asarray(dataset.test.frames), dataset.test.labels)
    files = ["student.nir", metadata.name, "student.net", "test-frames.npz"]
    teacher = load_teacher(context)
    if teacher is not None:
        _, height, width = input_shape
        if not export_teacher(teacher, (3, height, width), run.file("teacher.onnx")):
            files.append("teacher.onnx")
    return StageOutput(result=ExportResult(quantization=tuple(table)), files=tuple(files))


def simulate(context: Context) -> StageOutput:
    """The whole test set through the integer reference: trace.npz with spikes and counts, of steps too if asked for."""
    from spikeport.export.backends.reference.simulate import simulate as simulate_reference

    network = read_netx(context.run.file("student.net"))
    frames = context.dataset.test.frames
    began = time.perf_counter()
    trace = simulate_reference(
        network,
        frames,
        per_step=context.recipe.profile.per_step,
        progress=lambda done, total: context.progress(done, total, "samples"),
    )
    seconds = time.perf_counter() - began
    context.run.file("steps.csv").unlink(missing_ok=True)  # of what was simulated before
    trace.save(context.run.file("trace.npz"))
    predictions = Predictions.of(network.readout.classes(trace.spikes, trace.levels))
    result = SimulationResult(predictions=predictions, samples=len(frames), seconds=seconds)
    return StageOutput(result=result, files=("trace.npz",))


def check(context: Context, samples: int | None = None, seed: int | None = None) -> StageOutput:
    """Compares the quantized student with the reference on every test recording, and the reference with the backends
    of the recipe on some.

    Args:
        context: the run.
        samples: recordings that the backends simulate, drawn by class; None: as many as the recipe says.
        seed: of the draw; None: the recipe's.
    """
    network = read_netx(context.run.file("student.net"))
    quantized = _student_against_reference(context, network)
    recipe, labels = context.recipe.check, context.dataset.test.labels
    count = samples or recipe.samples or max(CHECK_SAMPLES, len(np.unique(labels)))
    drawn = draw(count, len(labels), labels, seed=recipe.seed if seed is None else seed)
    backends: dict[str, BackendCheck | Missing] = {
        name: BackendCheck.of(*_reference_against(name, context, network, drawn.rows), drawn)
        for name in dict.fromkeys(recipe.backends)
    }
    return StageOutput(result=CheckResult(quantized=quantized, backends=backends or NOT_COMPARED))


def trace_of(context: Context) -> SpikeTrace:
    """The trace that `simulate` kept."""
    return load_trace(context.run.file("trace.npz"))


def _student_against_reference(context: Context, network: IntegerNetwork) -> SpikeComparison:
    import torch

    from spikeport.export.backends.reference.simulate import simulate as simulate_reference
    from spikeport.pipeline.stages.train import load_student

    student = load_student(context, context.recipe.distillation.method, "quantized")
    names = student.layer_names()
    graph = load_graph(context.run.file("student.nir"))
    # On the chip the neurons of a branch stand beside relays of others, which the student does not have.
    places = lay_out(graph).places if needs_layout(graph) else None
    frames = context.dataset.test.frames
    parts = []
    for start in range(0, len(frames), CHECK_CHUNK):
        chunk = frames[start : start + CHECK_CHUNK]
        with torch.no_grad():
            spikes = student(torch.as_tensor(chunk).transpose(0, 1).float()).layer_spikes
        trained = [layer.transpose(0, 1).to(torch.uint8).numpy() for layer in spikes]
        reference = simulate_reference(network, chunk, keep_layers=True).layer_spikes
        assert reference is not None
        if places is not None:
            own = [places[name] for name in student.neuron_names()]
            reference = tuple(reference[at].reshape(*chunk.shape[:2], -1)[..., where.ravel()] for at, where in own)
        shaped = [np.reshape(b, a.shape) for a, b in zip(trained, reference, strict=True)]
        parts.append(compare_layers(names, trained, shaped, executions=(QUANTIZED, REFERENCE)))
        context.progress(min(start + CHECK_CHUNK, len(frames)), len(frames), "recordings, student against reference")
    return merge(parts)


def _reference_against(
    backend: str, context: Context, network: IntegerNetwork, rows: np.ndarray
) -> tuple[SpikeComparison, np.ndarray]:
    from spikeport.export.backends.compare_backends import compare_backends

    found = compare_backends(
        network,
        context.dataset.test.frames[rows],
        (REFERENCE, backend),
        sample_numbers=rows,
        case_folder=context.run.file("divergence"),
        timeout_s=context.recipe.check.timeout_s,
        progress=lambda done, total: context.progress(done, total, f"recordings in {title_of(backend)}"),
    )
    if found.timeout:
        raise found.timeout
    if found.case:
        context.progress.log(f"kept to be seen again: spikeport replay {found.case}")
    return found.comparison, network.readout.classes(found.trace.spikes, found.trace.levels)
