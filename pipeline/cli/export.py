"""The verb `export`: a run, any .nir file or a .net file -> files for the chip, and what that cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import InputShape, Json, Quiet, fail, shape_of, show
from spikeport.pipeline.stages.outputs import check_file, is_exported
from spikeport.tables import text_table

if TYPE_CHECKING:
    from spikeport.export.graph.spiking_graph import SpikingGraph
    from spikeport.export.network.integer_network import IntegerNetwork

NIR = "For .nir files"
INTEGERS = "Rounding to integers"

Dt = Annotated[
    float | None,
    typer.Option("--dt", metavar="SECONDS", help="Time step the network was made for.", rich_help_panel=NIR),
]
Reset = Annotated[
    Literal["zero"] | None,
    typer.Option("--reset", help="What a spike does to the membrane; NIR does not say.", rich_help_panel=NIR),
]
IfGain = Annotated[
    Literal["per-step", "per-second"] | None,
    typer.Option("--if-gain", help="What an IF node's r means; frameworks differ.", rich_help_panel=NIR),
]


def export(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A run folder, any .nir file, or a .net file to check.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the files go. [default: here]")
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option("--hardware", metavar="ID", help="Check public limits, e.g. loihi1, loihi2; may be repeated."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print what became of each node, with numbers.")] = False,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    input_shape: InputShape = None,
    readout: Annotated[
        Literal["spikes", "membrane-sum", "membrane-max", "membrane-last"] | None,
        typer.Option("--readout", help="Read classes from the last layer's membrane instead.", rich_help_panel=NIR),
    ] = None,
    bias: Annotated[
        Literal["refuse", "neuron"] | None,
        typer.Option(
            "--bias",
            help="Biases before slow currents: refuse (default), or a unit that always fires.",
            rich_help_panel=NIR,
        ),
    ] = None,
    allow_vector: Annotated[
        bool,
        typer.Option("--allow-vector", help="Let neurons of a layer differ (simulators only).", rich_help_panel=NIR),
    ] = False,
    bits: Annotated[int, typer.Option("--bits", min=2, max=8, help="Bits of a weight.", rich_help_panel=INTEGERS)] = 8,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FRAMES.npz",
            help="Search each layer's scale on these frames.",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    message_bits: Annotated[
        int,
        typer.Option(
            "--message-bits",
            min=0,
            max=8,
            rich_help_panel=INTEGERS,
            help="Inputs are counts of so many bits (graded spikes, Loihi 2); 0: spikes.",
        ),
    ] = 0,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FRAMES.npz",
            help="Say on these frames how far rounding moved the behavior. [default: a few seeded random frames]",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not run the network.", rich_help_panel=INTEGERS)
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Write run_in_lava.py beside the .net: runs it in Lava without Spikeport."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A run or any .nir file -> .nir with its metadata, .net for netx, and what rounding cost.

    The network of a .nir file runs on a few frames, in float64 and in integers: what differs is told.
    A live snnTorch nn.Sequential becomes a .nir in Python: `spikeport.export.frontends.from_snntorch.to_spiking_graph(
    net, input_shape, dt_s).save(FILE)`.

    Example: `spikeport export lif_norse.nir --dt 1e-4 --reset zero --explain --out exported`
    """
    from spikeport.pipeline.run.run_folder import MANIFEST

    if (source / MANIFEST).is_file():
        result, lines, network = _export_run(source, out)
    elif source.is_dir():
        raise UserError("is not a run folder", where=str(source), hint="name a run folder, a .nir or a .net file")
    elif source.suffix == ".net":
        result, lines, network = _export_net(source, out, shape_of(input_shape))
    else:
        from spikeport.export.graph.spiking_graph import load_graph

        graph = load_graph(
            source,
            dt_s=dt,
            reset=reset,
            if_gain=if_gain.replace("-", "_") if if_gain else None,  # type: ignore[arg-type]
            input_shape=shape_of(input_shape),
            readout=readout,
            bias=bias,
            allow_vector=allow_vector or None,
        )
        if no_check and check is not None:
            raise UserError("--check and --no-check are given together", hint="leave one of them out")
        result, lines, network = _export_nir(
            source, graph, out or Path(), bits, calibrate, message_bits, explain, quiet, check, not no_check
        )
    if script:
        _write_script(source, out, network, result, lines)
    exceeded = _check_hardware(network, hardware or [], result, lines)
    show(result, json, lines)
    if exceeded:
        fail(f"exceeds public limits of {', '.join(exceeded)}", "see the lines marked above")


def _export_nir(
    source: Path,
    graph: SpikingGraph,
    folder: Path,
    bits: int,
    calibrate: Path | None,
    message_bits: int,
    explain: bool,
    quiet: bool,
    check: Path | None,
    checked: bool,
) -> tuple[dict[str, Any], list[str], IntegerNetwork]:
    from dataclasses import asdict

    from spikeport.export.formats.metadata import metadata_path
    from spikeport.export.formats.netx.write import write_netx
    from spikeport.export.quantization.bias_neurons import with_messages
    from spikeport.export.quantization.quantize import quantize
    from spikeport.files import atomic_folder, write_json
    from spikeport.pipeline.cli.export_frames import calibrated, moved_by_rounding

    nir_file, net_file = folder / source.name, folder / f"{source.stem}.net"
    if nir_file.exists() and nir_file.samefile(source):
        nir_file = folder / f"{source.stem}-spikeport.nir"  # never over the file it came from
    table_file = folder / f"{source.stem}.quantization.json"
    for file in (nir_file, metadata_path(nir_file), net_file, table_file):
        check_file(file, "earlier export", is_exported, reads=(source, calibrate, check))
    notes = list(graph.notes)
    searched: dict[str, Any] = {}
    if calibrate is None:
        network, rows = quantize(graph, bits=bits)
    else:
        network, rows, searched = calibrated(graph, calibrate, bits, message_bits, quiet)
    if message_bits:
        network = with_messages(network, message_bits)
        notes.append(f"inputs are counts of {message_bits} bits: Loihi 2's graded spikes, Loihi 1 has none")
    moved = moved_by_rounding(graph, network, check or calibrate) if checked else None
    quantization = [asdict(row) for row in rows]
    metadata = {"dt_s": graph.dt_s, "reset": graph.reset, "readout": network.readout.kind}
    result = {"metadata": metadata, "quantization": quantization, "notes": notes}
    if searched:
        result["calibration"] = searched
    if moved is not None:
        result["check"] = asdict(moved)
    with atomic_folder(folder) as made:
        graph.save(made / nir_file.name)
        write_netx(network, made / net_file.name)
        write_json(made / table_file.name, result)
    files = [str(file) for file in (nir_file, net_file, table_file)]
    lines = [f"dt {graph.dt_s:g} s, reset to {graph.reset}, classes from {network.readout.kind}"]
    lines += [*_quantization_lines(quantization), *(f"note: {note}" for note in notes)]
    if searched:
        lines += [f"calibration: {line}" for line in searched["lines"]]
    if moved is not None:
        lines += moved.lines()
    if explain:
        from spikeport.export.quantization.explain import explain as explained
        from spikeport.export.quantization.explain import lines as explained_lines

        records = explained(graph, network, rows)
        result["nodes"] = [asdict(record) for record in records]
        lines += ["", *explained_lines(records), ""]
    return {"files": files, **result}, [*lines, *files], network


def _export_net(source: Path, out: Path | None, shape: Any) -> tuple[dict[str, Any], list[str], IntegerNetwork]:
    """A .net read, checked and, with --out, written again in Spikeport's own form."""
    from spikeport.export.formats.netx.write import read_netx, write_netx

    network = read_netx(source, shape)
    lines = text_table(
        ("layer", "kind", "input", "output", "weights"),
        [(r.name, r.kind, str(r.input_shape), str(r.output_shape), int(r.weight.size)) for r in network.layers],
    )
    files = []
    if out is not None:
        file = out / source.name
        if file.exists() and file.samefile(source):
            file = out / f"{source.stem}-spikeport.net"
        check_file(file, "earlier export", is_exported, reads=(source,))
        write_netx(network, file)
        files = [str(file)]
    return {"files": files, "layers": [layer.name for layer in network.layers]}, [*lines, *files], network


def _write_script(
    source: Path, out: Path | None, network: IntegerNetwork, result: dict[str, Any], lines: list[str]
) -> None:
    """Writes the script beside the .net that was exported, or beside the source where nothing was written."""
    from spikeport.export.backends.lava.script import SCRIPT_NAME, is_script, lava_script
    from spikeport.files import write_text

    net = next((Path(file) for file in result["files"] if file.endswith(".net")), source)
    file = net.with_name(SCRIPT_NAME)
    check_file(file, "script of an earlier export", is_script, reads=(source,))
    write_text(file, lava_script(network, net.name))
    result["files"].append(str(file))
    lines.append(str(file))


def _check_hardware(
    network: IntegerNetwork, hardware: list[str], result: dict[str, Any], lines: list[str]
) -> list[str]:
    """Adds what each device's public limits say to `result` and `lines`; the devices whose limits are exceeded."""
    from dataclasses import asdict

    exceeded = []
    for word in hardware:
        from spikeport.export.mapping.limits import check_limits
        from spikeport.hardware_profiles.profile import load_profile

        report = check_limits(network, load_profile(word))
        result.setdefault("limits", []).append(asdict(report))
        lines += ["", *report.lines()]
        if not report.passes:
            exceeded.append(word)
    return exceeded


def _export_run(source: Path, out: Path | None) -> tuple[dict[str, Any], list[str], IntegerNetwork]:
    import filecmp
    import shutil

    from spikeport.export.formats.netx.write import read_netx
    from spikeport.files import atomic_folder
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.run.run_folder import open_run
    from spikeport.pipeline.stages.context import Context
    from spikeport.pipeline.stages.runner import do_again

    run = open_run(source)
    with ProgressPrinter(quiet=True) as progress:
        do_again(Context(run, progress), "export", even_if_done=False)
    files = [run.file(name) for name in run.files("export")]
    if out is not None and not (out.is_dir() and out.samefile(source)):
        earlier = is_exported(out / "student.nir")  # then what else an export of a run writes is from it too

        def ours(there: Path) -> bool:
            return earlier or is_exported(there) or filecmp.cmp(there, run.file(there.name), shallow=False)

        for file in files:
            check_file(out / file.name, "earlier export", ours)
        with atomic_folder(out) as made:
            for file in files:
                shutil.copyfile(file, made / file.name)
        files = [out / file.name for file in files]
    result = {"files": [str(file) for file in files], **run.result("export")}
    lines = [*_quantization_lines(result["quantization"]), *result["files"]]
    return result, lines, read_netx(run.file("student.net"))


def _quantization_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The table; a run that was exported by an earlier version has no losses in it."""
    head = ("layer", "scale", "threshold", "v_decay", "i_decay", "weight error", "worst row", "became 0", "dead rows",
            "threshold error", "saturated")  # fmt: skip
    keys = ("name", "scale", "threshold_mant", "v_decay", "i_decay", "weight_error", "row_error", "zeroed", "dead_rows",
            "threshold_error", "saturated")  # fmt: skip
    rows_with_loss = [{**row, **row.get("loss", {})} for row in rows]
    notes = [f"note: {row['name']}: {note}" for row in rows for note in row["notes"]]
    return [*text_table(head, [tuple(row.get(key, "") for key in keys) for row in rows_with_loss]), *notes]
