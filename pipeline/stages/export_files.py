"""Exports a run, a .nir file or a .net file: files for the chip, and rounding errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spikeport.errors import UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.files import atomic_folder, write_json, write_text
from spikeport.pipeline.stages.compiled_network import CompiledNetwork, net_lines, quantize
from spikeport.pipeline.stages.live_network import network_graph
from spikeport.pipeline.stages.outputs import check_file, is_exported
from spikeport.pipeline.stages.quantization_table import quantization_lines
from spikeport.pipeline.stages.results import quantization_rows
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.source_options import EXPORT, kind_of, refuses_unused
from spikeport.progress import Progress
from spikeport.tables import text_of
from spikeport.values import Shape

if TYPE_CHECKING:
    from spikeport.export.calibration.float_comparison import FloatComparison
    from spikeport.export.graph.spiking_graph import SpikingGraph
    from spikeport.export.lowering.branches.row_scales import RowScales
    from spikeport.export.quantization.clones import Clones
    from spikeport.pipeline.stages.export_json import ExportedJson, ExportValues, MetadataJson


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """Files and results of an export. Prints as text.

    Attributes:
        files: the files.
        network: the integer network in the .net file.
        values: the results in JSON values, see `ExportValues`.
        text: the results as text.
        exceeded: devices whose public limits the network exceeds.
    """

    files: tuple[Path, ...]
    network: IntegerNetwork
    values: ExportValues
    text: tuple[str, ...]
    exceeded: tuple[str, ...] = ()

    def to_json(self) -> ExportedJson:
        """The values, and the paths as `files`."""
        return {"files": [str(file) for file in self.files], **self.values}

    def lines(self) -> list[str]:
        """Results and files as text."""
        return [*self.text, *map(str, self.files)]

    def __repr__(self) -> str:
        return text_of(self.lines())


@refuses_unused(EXPORT)
def export_network(
    source: PathLike,
    out: PathLike | None = None,
    *,
    bits: int = 8,
    clones: Clones = 1,
    row_scales: RowScales | None = None,
    calibrate: PathLike | None = None,
    message_bits: int = 0,
    scaled_frames: bool = False,
    check: PathLike | Literal["none"] | None = None,
    explain: bool = False,
    hardware: tuple[str, ...] = (),
    script: bool = False,
    framework: str | None = None,
    dt_s: float | None = None,
    reset: str | None = None,
    if_gain: Literal["per-step", "per-second"] | None = None,
    input_shape: Shape | None = None,
    readout: str | None = None,
    bias: str | None = None,
    allow_vector: bool = False,
    progress: Progress | None = None,
) -> ExportedFiles:
    """Writes the files of a network for the chip, with a table of rounding errors.

    Args:
        source: a run folder, a .nir file, a .net file, which is checked and written again, or `package.module:factory`,
            where `factory()` returns a network of torch modules and snnTorch neurons.
        out: folder for the files; None: the working folder for a .nir file or a network, the run for a run, no file for
            a .net file.
        bits: bits of a weight, 2 to 8.
        clones, row_scales: copies of neurons, and groups of rows, for finer weights, as for `quantize`.
        calibrate: file of frames on which the scale of each layer is searched.
        message_bits: bits of the counts at the input (Loihi 2); 0: binary spikes.
        scaled_frames: whether frames for the input neurons of a .net file are scaled already (weight 1, no bias).
        check: file of frames for the comparison of float and integer network; None: random frames; "none": no check.
        explain: whether `nodes` describes the conversion of each node.
        hardware: devices whose public limits are checked.
        script: whether run_in_lava.py is written, which runs the .net file in Lava without Spikeport.
        framework, dt_s, reset, if_gain, input_shape, readout, bias, allow_vector: for .nir files, as for `load_graph`.
            A network needs `input_shape`, and `dt_s` or `framework`. A .net file takes `input_shape`, `readout`,
            `message_bits` and `scaled_frames`.
        progress: called with (scales tried, scales in all).

    Raises:
        UserError: the chip cannot run the network, an option has no meaning for the source, or a file of another kind
            would be overwritten.
    """
    file, kind = Path(source), kind_of(source)
    per: Any = if_gain.replace("-", "_") if if_gain else None
    if kind == "run":
        exported = _export_run(file, None if out is None else Path(out))
    elif kind == "net":
        exported = _export_net(file, None if out is None else Path(out), input_shape, readout=readout,
                               message_bits=message_bits, scaled_frames=scaled_frames)  # fmt: skip
    elif file.is_dir():
        raise UserError("is not a run folder", where=str(file), hint="name a run folder, a .nir or a .net file")
    else:
        from spikeport.export.quantization.load_file import load_file

        if scaled_frames:
            raise UserError(
                "--scaled-frames is for .net files with input neurons", where=str(file), hint="leave it out"
            )
        graph = network_graph(
            str(source), dt_s, input_shape, readout, bias, allow_vector, framework=framework
        ) if kind == "network" else load_file(
            file, dt_s=dt_s, reset=reset, if_gain=per, input_shape=input_shape, readout=readout, bias=bias,
            allow_vector=allow_vector or None, framework=framework,
        )  # fmt: skip
        written = Path(f"{str(source).rpartition(':')[2]}.nir") if kind == "network" else file
        target = _NirExport(written, Path(out or ""), calibrate, check)
        graph = graph if row_scales is None else replace(graph, row_scales=row_scales)
        exported = target.write(graph, bits, clones, message_bits, explain, progress)
        file = target.folder / written.name if kind == "network" else file
    if script:
        exported = _with_script(file, exported)
    return _with_limits(exported, hardware) if hardware else exported


class _NirExport:
    """Exports one .nir file: checks the files to write, and compiles and compares the network."""

    def __init__(self, source: Path, folder: Path, calibrate: PathLike | None, check: PathLike | None) -> None:
        self.calibrate = None if calibrate is None else Path(calibrate)
        self.compared = check != "none"
        self.check = Path(check) if check is not None and self.compared else None
        self.folder = folder
        self.nir, self.net = folder / source.name, folder / f"{source.stem}.net"
        if self.nir.exists() and self.nir.samefile(source):
            self.nir = folder / f"{source.stem}-spikeport.nir"  # never over the file it came from
        self.table = folder / f"{source.stem}.quantization.json"
        from spikeport.export.formats.metadata import metadata_path

        for file in (self.nir, metadata_path(self.nir), self.net, self.table):
            check_file(file, "earlier export", is_exported, reads=(source, self.calibrate, self.check))

    def write(
        self,
        graph: SpikingGraph,
        bits: int,
        clones: Clones,
        message_bits: int,
        explain: bool,
        progress: Progress | None,
    ) -> ExportedFiles:
        from spikeport.export.formats.netx.write import write_netx

        compiled = self._compiled(graph, bits, clones, message_bits, progress)
        notes = list(compiled.notes)
        network = compiled.network
        if message_bits:
            notes.append(f"inputs are counts of {message_bits} bits: Loihi 2's graded spikes, Loihi 1 has none")
        moved = self._moved(graph, network) if self.compared else None
        quantization = quantization_rows(compiled.layers)
        metadata: MetadataJson = {"dt_s": graph.dt_s, "reset": graph.reset, "readout": network.readout.kind}
        values: ExportValues = {"metadata": metadata, "quantization": quantization, "notes": notes}
        lines = [f"dt {graph.dt_s:g} s, reset to {graph.reset}, classes from {network.readout}"]
        lines += [*quantization_lines(quantization), *(f"note: {note}" for note in notes)]
        if (found := compiled.calibration) is not None:
            values["calibration"] = {**asdict(found), "lines": found.lines()}
            lines += [f"calibration: {line}" for line in found.lines()]
        if moved is not None:
            values["check"] = asdict(moved)
            lines += moved.lines()
        with atomic_folder(self.folder) as made:
            replace(graph, readout=network.readout.word).save(made / self.nir.name)
            write_netx(network, made / self.net.name)
            write_json(made / self.table.name, values)
        if explain:
            explanation = compiled.explain()
            values["nodes"] = [asdict(record) for record in explanation.nodes]
            lines += ["", *repr(explanation).splitlines(), ""]
        return ExportedFiles(files=(self.nir, self.net, self.table), network=network, values=values, text=tuple(lines))

    def _compiled(
        self,
        graph: SpikingGraph,
        bits: int,
        clones: Clones,
        message_bits: int,
        progress: Progress | None,
    ) -> CompiledNetwork:
        if self.calibrate is None:
            return quantize(graph, bits=bits, clones=clones, message_bits=message_bits)
        from spikeport.export.formats.frames_file import open_frames

        outputs = quantize(graph, bits=bits).network.outputs
        frames, labels = open_frames(self.calibrate, graph.input_shape, limit=255, outputs=outputs)
        return quantize(graph, bits=bits, clones=clones, calibrate=frames, labels=labels, message_bits=message_bits,
                        progress=progress)  # fmt: skip

    def _moved(self, graph: SpikingGraph, network: IntegerNetwork) -> FloatComparison:
        """Compares the float and the integer network on given or random frames."""
        from spikeport.export.calibration.float_comparison import compare_on_frames, compare_on_random_frames
        from spikeport.export.formats.frames_file import open_frames

        file = self.check or self.calibrate
        if file is None:
            return compare_on_random_frames(graph, network)
        frames, labels = open_frames(file, graph.input_shape, limit=255, outputs=network.outputs)
        return compare_on_frames(graph, network, frames, str(file), labels)


def _export_net(source: Path, out: Path | None, shape: Shape | None, **changes: Any) -> ExportedFiles:
    """Reads and checks a .net file. With a folder, writes it again in Spikeport's form."""
    from spikeport.export.formats.netx.read import read_netx
    from spikeport.export.formats.netx.write import write_netx
    from spikeport.pipeline.stages.net_changes import changed_net

    network = changed_net(read_netx(source, shape), **changes, where=str(source))
    lines = net_lines(network)
    files: tuple[Path, ...] = ()
    if out is not None:
        file = out / source.name
        if file.exists() and file.samefile(source):
            file = out / f"{source.stem}-spikeport.net"
        check_file(file, "earlier export", is_exported, reads=(source,))
        write_netx(network, file)
        files = (file,)
    values: ExportValues = {"layers": [layer.name for layer in network.layers]}
    return ExportedFiles(files=files, network=network, values=values, text=tuple(lines))


def _export_run(source: Path, out: Path | None) -> ExportedFiles:
    """The exported files of a run. They are made if they are missing, and copied if a folder is given."""
    import filecmp
    import shutil

    from spikeport.export.formats.netx.read import read_netx
    from spikeport.pipeline.run.run_folder import open_run
    from spikeport.pipeline.stages.context import Context
    from spikeport.pipeline.stages.reporting import progress_of
    from spikeport.pipeline.stages.runner import do_again

    run = open_run(source)
    do_again(Context(run, progress_of(None)), "export", even_if_done=False)
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
    values: ExportValues = run.result("export")
    lines = quantization_lines(values["quantization"])
    network = read_netx(run.file("student.net"))
    return ExportedFiles(files=tuple(files), network=network, values={**values}, text=tuple(lines))


def _with_script(source: Path, exported: ExportedFiles) -> ExportedFiles:
    """Writes the script beside the exported .net file, or beside the source if no .net file was written."""
    from spikeport.export.backends.lava.script import SCRIPT_NAME, is_script, lava_script

    net = next((file for file in exported.files if file.suffix == ".net"), source)
    file = net.with_name(SCRIPT_NAME)
    check_file(file, "script of an earlier export", is_script, reads=(source,))
    write_text(file, lava_script(exported.network, net.name))
    return replace(exported, files=(*exported.files, file))


def _with_limits(exported: ExportedFiles, hardware: tuple[str, ...]) -> ExportedFiles:
    from spikeport.pipeline.stages.compiled_network import check_limits

    reports = [check_limits(exported.network, device) for device in hardware]
    return replace(
        exported,
        values={**exported.values, "limits": [asdict(report) for report in reports]},
        text=(*exported.text, *(line for report in reports for line in ("", *report.lines()))),
        exceeded=tuple(name for name, report in zip(hardware, reports, strict=True) if not report.passes),
    )
