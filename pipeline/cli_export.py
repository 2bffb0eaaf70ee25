"""The verbs that need no training: export, simulate, profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hardware_profiles.errors import UserError
from pipeline.console import InputShape, Json, Quiet, show, table

Input = Annotated[Path, typer.Option("--input", metavar="FRAMES.npz", help="Frames [N, T, C, H, W] of 0 and 1.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command."""
    app.command()(export)
    app.command()(simulate)
    app.command()(profile)


def export(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A run folder, or any .nir file.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the files go. [default: here]")
    ] = None,
    dt: Annotated[
        float | None, typer.Option("--dt", metavar="SECONDS", help="Time step the network was made for.")
    ] = None,
    reset: Annotated[
        Literal["zero"] | None, typer.Option("--reset", help="What a spike does to the membrane; NIR does not say.")
    ] = None,
    if_r: Annotated[
        Literal["per-step", "per-second"] | None,
        typer.Option("--if-r", help="What an IF node's r means; frameworks differ."),
    ] = None,
    json: Json = False,
) -> None:
    """A run or any .nir file -> .nir with its contract, .net for netx, and what rounding cost.

    Example: `spikeport export lif_norse.nir --dt 1e-4 --reset zero --out exported`
    """
    from pipeline.run_folder import MANIFEST

    if (source / MANIFEST).is_file():
        _export_run(source, out, json)
        return
    if source.is_dir():
        raise UserError("is no run folder", where=str(source), mend="name a run folder or a .nir file")
    from export.netx import write_netx
    from export.quantise import quantise
    from export.spiking_graph import load_graph

    graph = load_graph(source, dt_s=dt, reset=reset, if_r=if_r.replace("-", "_") if if_r else None)  # type: ignore[arg-type]
    network, rows = quantise(graph)
    folder = out or Path()
    nir_file, net_file = folder / source.name, folder / f"{source.stem}.net"
    if nir_file.exists() and nir_file.samefile(source):
        nir_file = folder / f"{source.stem}-spikeport.nir"  # never over the file it came from
    graph.save(nir_file)
    write_netx(network, net_file)
    table_file = folder / f"{source.stem}.quantisation.json"
    _show_export(rows, [nir_file, net_file, table_file], json, notes=graph.notes)


def simulate(
    net: Annotated[Path, typer.Argument(metavar="NET", help="A .net file, ours or lava-dl's.")],
    frames: Input,
    backend: Annotated[Literal["reference", "lava"], typer.Option("--backend")] = "reference",
    out: Annotated[Path | None, typer.Option("--out", metavar="TRACE.npz", help="Keep spikes and counts.")] = None,
    input_shape: InputShape = None,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, help="For Lava.")] = 1800.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Runs a .net file on binary frames, with the batched integer reference or in Lava.

    Example: `spikeport simulate student.net --input test-frames.npz --backend lava`
    """
    import numpy as np

    from export.frames_file import read_frames
    from export.netx import read_netx
    from export.readout import classify
    from pipeline.progress import Progress

    network = read_netx(net, _shape(input_shape))
    spikes, labels = read_frames(frames, network.input_shape)
    with Progress(quiet=quiet) as progress:

        def tell(done: int, total: int) -> None:
            progress(done, total, f"samples ({backend})")

        if backend == "lava":
            from export.lava.driver import simulate as simulate_lava

            trace = simulate_lava(network, spikes, timeout_s=timeout_s, progress=tell)
        else:
            from export.reference import simulate as simulate_reference

            trace = simulate_reference(network, spikes, progress=tell)
    if out:
        trace.save(out)
    per_class = trace.spikes.sum(axis=(0, 1), dtype=np.int64)
    result: dict[str, Any] = {
        "backend": trace.backend,
        "samples": len(spikes),
        "steps": int(spikes.shape[1]),
        "output_spikes": int(per_class.sum()),
        "output_spikes_per_neuron": per_class.tolist(),
    }
    if labels is not None and len(labels):
        result["accuracy"] = float(np.mean(classify(trace.spikes) == labels))
    if trace.counts is not None and len(spikes):
        result["layers"] = [
            {
                "name": layer.name,
                "spikes_per_sample": float(trace.counts.spikes_out[:, index].mean()),
                "synops_per_sample": float(trace.counts.synops[:, index].mean()),
            }
            for index, layer in enumerate(network.layers)
        ]
    lines = [
        f"{result['backend']}: {result['samples']} samples of {result['steps']} steps, "
        f"{result['output_spikes']:,} output spikes"
    ]
    if "accuracy" in result:
        lines.append(f"accuracy {100 * result['accuracy']:.2f} %")
    if "layers" in result:
        lines += table(("layer", "spikes/sample", "synops/sample"), [tuple(row.values()) for row in result["layers"]])
    if out:
        lines.append(str(out))
    show(result, json, lines)


def profile(
    source: Annotated[Path, typer.Argument(metavar="RUN|NET", help="A run folder, or a .net file with --input.")],
    frames: Annotated[
        Path | None, typer.Option("--input", metavar="FRAMES.npz", help="Frames for a .net file.")
    ] = None,
    hardware: Annotated[
        list[str] | None, typer.Option("--hardware", metavar="ID", help="A profile's id or file; may be repeated.")
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="ID", help="GPU profile for the floor.")] = None,
    input_shape: InputShape = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Counts spikes and synaptic operations and prices them: modelled energy as an interval, unknown stays unknown.

    Example: `spikeport profile student.net --input test-frames.npz --hardware loihi1`
    """
    from pipeline.progress import Progress
    from pipeline.run_folder import MANIFEST, locked, open_run
    from pipeline.stages import Context
    from pipeline.stages_report import profile as profile_run
    from pipeline.stages_report import profile_network

    with Progress(quiet=quiet) as progress:
        if (source / MANIFEST).is_file():
            with locked(source):
                context = Context(open_run(source), progress)
                result, _ = profile_run(context, hardware=tuple(hardware or ()), baseline_gpu=baseline)
        elif frames is None:
            raise UserError("a .net file needs frames", where=str(source), mend="give --input FRAMES.npz")
        else:
            from export.frames_file import read_frames
            from export.netx import read_netx

            network = read_netx(source, _shape(input_shape))
            spikes, _ = read_frames(frames, network.input_shape)
            result = profile_network(network, spikes, tuple(hardware or ()), baseline, progress)
    show(result, json, _profile_lines(result))


def _export_run(source: Path, out: Path | None, json: bool) -> None:
    import shutil
    import time

    from export.files import atomic_path
    from pipeline.progress import Progress
    from pipeline.run_folder import locked, open_run
    from pipeline.stages import Context
    from pipeline.stages_deploy import export as export_stage

    run = open_run(source)
    with locked(source), Progress(quiet=True) as progress:
        if not run.is_done("export"):
            began = time.monotonic()
            result, names = export_stage(Context(run, progress))
            run.record("export", result, names, time.monotonic() - began)
    files = [run.file(name) for name in run.files("export")]
    if out is not None:
        for file in files:
            with atomic_path(out / file.name) as temporary:
                shutil.copyfile(file, temporary)
        files = [out / file.name for file in files]
    result = {"files": [str(file) for file in files], **run.result("export")}
    show(result, json, [*_quantisation_lines(result["quantisation"]), *result["files"]])


def _show_export(rows: list[Any], files: list[Path], json: bool, notes: tuple[str, ...]) -> None:
    from dataclasses import asdict

    from export.files import write_json

    quantisation = [asdict(row) for row in rows]
    write_json(files[-1], {"quantisation": quantisation, "notes": list(notes)})
    lines = [*_quantisation_lines(quantisation), *(f"note: {note}" for note in notes), *(str(file) for file in files)]
    show({"files": [str(file) for file in files], "quantisation": quantisation, "notes": list(notes)}, json, lines)


def _quantisation_lines(rows: list[dict[str, Any]]) -> list[str]:
    head = ("layer", "scale", "threshold", "v_decay", "i_decay", "weight error", "threshold error", "saturated")
    keys = ("name", "scale", "threshold_mant", "v_decay", "i_decay", "weight_error", "threshold_error", "saturated")
    notes = [f"note: {row['name']}: {note}" for row in rows for note in row["notes"]]
    return [*table(head, [tuple(row[key] for key in keys) for row in rows]), *notes]


def _profile_lines(result: dict[str, Any]) -> list[str]:
    layers = table(
        ("layer", "neurons", "weights", "spikes/sample", "rate", "synops/sample", "dense/sample"),
        [
            (
                r["name"],
                r["neurons"],
                r["weights"],
                r["spikes_per_sample"],
                r["rate"],
                r["synops_per_sample"],
                r["dense_ops"],
            )
            for r in result["layers"]
        ],
    )
    from pipeline.report.words import quantity_text

    energy = table(
        ("hardware", "dynamic energy", "total energy", "latency", "basis", "unpriced"),
        [
            (
                row["hardware"],
                quantity_text(row["dynamic_uj"], "µJ"),
                quantity_text(row["total_uj"], "µJ"),
                quantity_text(row["latency_us"], "µs"),
                row["basis"],
                ", ".join(row["unpriced"]) or "-",
            )
            for row in result["energy"]
        ],
    )
    return [*layers, "", *energy]


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(f"{text!r} is no shape", where="--input-shape", mend="write it as C,H,W, for example 2,34,34")
    return sizes
