"""What a file that was damaged must still do: load to a legal value, or raise UserError. For the fuzz test."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import nir
import numpy as np
from fuzz_files import FRAME_SHAPE

from spikeport.export.formats import nir_file
from spikeport.export.formats.frames_file import open_frames, write_frames
from spikeport.export.formats.metadata import metadata_path, read_metadata, write_metadata
from spikeport.export.formats.netx.write import _difference, read_netx, write_netx
from spikeport.export.graph.frameworks import FRAMEWORKS
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize

SUFFIX = {"net": ".net", "nir": ".nir", "metadata": ".nir.json", "frames": ".npz"}


def check_net(path: Path) -> None:
    """A network that can be written and read with the same meaning."""
    network = read_netx(path)
    again = path.with_suffix(".again.net")
    write_netx(network, again)
    assert not _difference(network, read_netx(again)), "the network read back differs"


def check_nir(path: Path) -> None:
    """A graph that can be written and read bit for bit; then the compiler takes it or says why not."""
    graph = nir_file.read_nir(path)
    assert isinstance(graph, nir.NIRGraph)
    again = path.with_suffix(".again.nir")
    nir_file.write_nir(graph, again)
    assert not nir_file._difference(graph, nir_file.read_nir(again)), "the graph read back differs"
    loaded = load_graph(path, dt_s=1e-4, reset="zero", if_gain="per_step")
    network, _ = quantize(loaded)
    write_netx(network, path.with_suffix(".again.net"))


def check_framework(path: Path) -> None:
    """A graph read by the conventions of a framework, which the content of the file picks; compiled or refused."""
    name = sorted(FRAMEWORKS)[zlib.crc32(path.read_bytes()) % len(FRAMEWORKS)]
    network, _ = quantize(load_graph(path, framework=name, reset="zero"))
    write_netx(network, path.with_suffix(".again.net"))


def check_metadata(path: Path) -> None:
    """A metadata with values of their kinds that comes back from a file of its own."""
    graph = path.with_suffix("")  # the .nir, written beside its mutated metadata
    metadata = read_metadata(graph)
    assert metadata is not None
    assert 0 < metadata.dt_s < math.inf
    assert min(metadata.input_shape) > 0
    assert all(0 < scale < math.inf for scale in metadata.scales.values())
    str(metadata).encode("utf-8")
    again = graph.with_suffix(".again.nir")
    again.write_bytes(graph.read_bytes())
    write_metadata(again, metadata)
    assert read_metadata(again) == metadata
    metadata_path(again).unlink()


def check_frames(path: Path) -> None:
    """Spikes of 0 and 1 with labels of their number, which come back from a file of their own."""
    reader, labels = open_frames(path, FRAME_SHAPE)
    frames = reader[:]
    assert frames.dtype == np.uint8
    assert frames.shape == (*reader.shape[:2], *FRAME_SHAPE)
    assert not frames.size or frames.max() <= 1
    assert labels is None or labels.shape == (len(frames),)
    again = path.with_suffix(".again.npz")
    write_frames(again, frames, labels)
    read, read_labels = open_frames(again, FRAME_SHAPE)
    assert np.array_equal(read[:], frames)
    assert (labels is None) == (read_labels is None)
    assert labels is None or np.array_equal(labels, read_labels)


CHECKS = {"net": check_net, "nir": check_nir, "metadata": check_metadata, "frames": check_frames}
