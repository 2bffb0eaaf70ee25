"""Files to damage, and ways to damage them, each from a seed: bytes, HDF5 structure, JSON values, zip members."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from random_networks import random_network
from random_sdnn import random_sdnn

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.graph.spiking_graph import SpikingGraph

FRAME_SHAPE = (2, 3, 4)
_LEAST = 1 << 40  # elements of a declared shape that nobody can hold


def bases(folder: Path, data: Path) -> dict[str, list[Path]]:
    """Sound files of every kind, small ones of ours and other people's where `data` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[Path]] = {"net": [], "nir": [], "metadata": [], "frames": []}
    for seed in range(12):
        path = folder / f"{seed}.net"
        write_netx(random_network(np.random.default_rng(seed), rich=True), path)
        files["net"].append(path)
    for seed in range(6):
        path = folder / f"sdnn{seed}.net"
        write_netx(random_sdnn(np.random.default_rng(seed)), path)
        files["net"].append(path)
    for index, graph in enumerate((_dense_graph(), _conv_graph(), _recurrent_graph())):
        path = folder / f"{index}.nir"
        shape = tuple(int(n) for n in graph.nodes["input"].output_type["output"])
        SpikingGraph(nir_graph=graph, dt_s=1e-4, reset="zero", input_shape=shape).save(path)
        files["nir"].append(path)
        files["metadata"].append(path.with_name(path.name + ".json"))
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 2, (3, 4, *FRAME_SHAPE), dtype=np.uint8)
    write_frames(folder / "0.npz", frames, np.arange(3))
    np.savez(folder / "1.npz", frames=frames, labels=np.arange(3))
    np.save(folder / "2.npz.npy", frames)
    (folder / "2.npz.npy").rename(folder / "2.npz")
    files["frames"] = [folder / f"{index}.npz" for index in range(3)]
    for kind, pattern in (("nir", "nir/*.nir"), ("net", "netx/*.net")):
        others = sorted(data.glob(pattern)) if data.is_dir() else []
        for other in others:
            shutil.copyfile(other, folder / other.name)
            files[kind].append(folder / other.name)
    return files


def mutant(kind: str, index: int, seed: int, files: dict[str, list[Path]], path: Path) -> None:
    """Writes the damaged file `index` of its kind to `path` (a metadata's .nir beside it)."""
    rng = np.random.default_rng([seed, index])
    source = files[kind][int(rng.integers(len(files[kind])))]
    if kind == "metadata":
        shutil.copyfile(source.with_suffix(""), path.with_suffix(""))
    if rng.random() < 0.5:
        other = files[kind][int(rng.integers(len(files[kind])))]
        path.write_bytes(_bytes(rng, source.read_bytes(), other.read_bytes()))
    elif kind == "metadata":
        path.write_bytes(_json(rng, source.read_text()))
    elif kind == "frames":
        path.write_bytes(_zip(rng, source.read_bytes()))
    else:
        shutil.copyfile(source, path)
        with h5py.File(path, "a") as file:
            for _ in range(int(rng.integers(1, 4))):
                _hdf5(rng, file)


def _bytes(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    """Flipped bits, runs, cuts, insertions, and pieces of another file."""
    array = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 5, 20]))):
        if not array:
            break
        at = int(rng.integers(len(array)))
        if rng.random() < 0.3:
            at = int(rng.integers(min(len(array), 4096)))  # where headers are
        length = int(rng.choice([1, 4, 16, 256]))
        choice = rng.integers(8)
        if choice <= 2:
            array[at] ^= 1 << int(rng.integers(8))
        elif choice == 3:
            array[at : at + length] = rng.bytes(len(array[at : at + length]))
        elif choice == 4:
            array[at : at + length] = bytes([int(rng.choice([0, 255]))]) * len(array[at : at + length])
        elif choice == 5:
            del array[at : at + (length if rng.random() < 0.5 else len(array))]
        elif choice == 6:
            array[at:at] = rng.bytes(length)
        else:
            start = int(rng.integers(len(other)))
            array[at : at + length] = other[start : start + length]
    return bytes(array)


def _hdf5(rng: np.random.Generator, file: h5py.File) -> None:
    """One change that keeps the file HDF5: fields of other types, shapes and values, missing, extra, linked."""
    groups: list[str] = ["/"]
    datasets: list[str] = []
    file.visititems(lambda name, item: (groups if isinstance(item, h5py.Group) else datasets).append(name))
    group = file[groups[int(rng.integers(len(groups)))]]
    new = f"{rng.choice(['weight', 'delay', 'bias', 'x', 'type', 'neuron', 'nodes', 'metadata', 'shape', '7'])}"
    choice = int(rng.integers(10))
    if choice <= 4 and datasets:
        name = datasets[int(rng.integers(len(datasets)))]
        old = file[name][()] if file[name].shape is not None and file[name].size < 1 << 22 else np.zeros(3)
        del file[name]
        _put(rng, file, name, old)
    elif choice == 5:
        victims = datasets + groups[1:]
        if victims:
            del file[victims[int(rng.integers(len(victims)))]]
    elif new in group:
        return
    elif choice == 6:
        _put(rng, group, new, np.arange(4))
    elif choice == 7:
        target = groups[int(rng.integers(len(groups)))]
        link = rng.integers(4)
        group[new] = (file[target] if link < 2 else h5py.SoftLink("/" + target) if link == 2
                      else h5py.ExternalLink("/etc/hostname", "/"))  # fmt: skip
    elif choice == 8:
        for depth in range(int(rng.choice([3, 40, 300]))):
            group = group.create_group(f"{new}{depth}" if depth == 0 else "nodes")
    else:
        value: Any = [np.nan, "a\nb", b"\xff\xfe", np.arange(2000), 1e308, -1, h5py.Empty("f4"), "x" * 5000]
        name = str(rng.choice(["name", "scale", "readout", "over_time", "input_message_bits", "other"]))
        group.attrs[name] = value[int(rng.integers(len(value)))]


def _put(rng: np.random.Generator, group: h5py.Group, name: str, old: Any) -> None:
    """A dataset in place of `old`: its values changed, or something else altogether."""
    values = np.asarray(old)
    numeric = values.dtype.kind in "iufb"
    choice = int(rng.integers(14))
    if choice <= 2 and numeric and values.size:
        values = values.astype(np.float64).copy()
        odd = [np.nan, np.inf, -np.inf, 0.5, -1, 0, 1e30, 2.0**31, 255, 256, 4097, 131072, -300, 63]
        values.reshape(-1)[int(rng.integers(values.size))] = odd[int(rng.integers(len(odd)))]
        group[name] = values
    elif choice == 3 and numeric:
        kinds = ["i1", "u1", ">i4", "f2", ">f8", "u8", "?", "c8"]
        with np.errstate(all="ignore"):
            group[name] = values.astype(kinds[int(rng.integers(len(kinds)))])
    elif choice == 4 and values.ndim:
        group[name] = values.reshape(-1) if rng.random() < 0.5 else values[None]
    elif choice == 5 and values.ndim:
        group[name] = values[: int(rng.integers(len(values) + 1))]
    elif choice == 6:
        group.create_dataset(name, shape=(_LEAST,), dtype="f8", chunks=(1 << 20,), compression="gzip")
    elif choice == 7:
        group.create_dataset(name, shape=(1 << 12, 1 << int(rng.integers(8, 20))), dtype="i4")
    elif choice == 8:
        texts = ["", "CUBA", "SDNN", "a\nb", "é" * 40, "x" * 3000, "NIRGraph", "LIF", "input", "\x1b[31m"]
        group[name] = texts[int(rng.integers(len(texts)))]
    elif choice == 9:
        group.create_dataset(name, data=np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]))
    elif choice == 10:
        group.create_dataset(name, data=h5py.Empty("f4"))
    elif choice == 11:
        group.create_dataset(name, data=np.array([b"\xff\xfe", b"ok"], dtype="S2"))
    elif choice == 12:
        group.create_dataset(name, shape=(2, 0, 1 << 40), dtype="u1", maxshape=(None, None, None))
    else:
        group[name] = int(rng.choice([-1, 0, 1, 2, 7, 128, 2**31, -(2**40)]))


def _json(rng: np.random.Generator, text: str) -> bytes:
    """Values and keys of other kinds, in the text of a JSON object."""
    found = json.loads(text)
    odd: list[Any] = [None, True, -1, 0, 1.5, "x", "\ud800", [], {}, [[1]], [0], {"a": {}}, 10**400, 1e-320, "zero",
                      "a\nb\x1b[0m", [2**40] * 3, ["1"], float("nan"), float("inf"), "refuse", "membrane"]  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        key = str(rng.choice([*found, "extra"]))
        if rng.random() < 0.15:
            found.pop(key, None)
        elif key == "scales" and rng.random() < 0.5:
            found[key] = {"lif": odd[int(rng.integers(len(odd)))]}
        else:
            found[key] = odd[int(rng.integers(len(odd)))]
    written = json.dumps(found)
    if rng.random() < 0.1:
        written = written.replace("{", '{"notes": ' + "[" * 100_000, 1)
    return written.encode("utf-8")


def _zip(rng: np.random.Generator, data: bytes) -> bytes:
    """Archives with other members, packings, headers and claims."""
    frames = np.asarray(rng.integers(0, 2, (3, 4, *FRAME_SHAPE)), dtype=np.uint8)
    packing = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2][int(rng.integers(3))]
    buffer = io.BytesIO()
    choice = int(rng.integers(9))
    if choice == 0:
        np.savez(buffer, frames=frames.astype([">i8", "f4", "?", "u8", "i1", "c8"][int(rng.integers(6))]))
    elif choice == 1:
        np.savez(buffer, frames=np.array([{"a": 1}, None], dtype=object), labels=np.arange(3))
    elif choice == 2:
        np.savez(buffer, frames=frames * int(rng.integers(0, 9)), labels=rng.random(3) if rng.random() < 0.5 else "x")
    elif choice == 3:
        np.savez(buffer, frames=frames[:, :, :, : int(rng.integers(4))], labels=np.arange(int(rng.integers(5))))
    elif choice == 4:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("frames.npy", _npy((1 << int(rng.integers(10, 24)), 4, *FRAME_SHAPE)) + bytes(1 << 16))
    elif choice == 5:
        with zipfile.ZipFile(buffer, "w", packing) as archive:
            archive.writestr("frames.npy", _npy((3, 4, *FRAME_SHAPE)) + frames.tobytes())
            archive.writestr("../labels.npy", b"x")
    elif choice == 6:
        odd: list[Any] = [(3, -4, 24), (2**62, 2**62, 24), (), (3,), "x", None, (1.5, 2, 24), (True, 4, 24), [3, 4, 24]]
        return _npy(odd[int(rng.integers(len(odd)))]) + frames.tobytes()
    elif choice == 7:
        texts = [b"{", b"(" * 5000, b"{'descr': '|O', 'fortran_order': 0, 'shape': (3,)}", b"\xff" * 50, b"[" * 9000]
        text = texts[int(rng.integers(len(texts)))]
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + frames.tobytes()
    else:
        return bytes(rng.bytes(int(rng.integers(200)))) + data
    return buffer.getvalue()


def _npy(shape: Any) -> bytes:
    text = (repr({"descr": "|u1", "fortran_order": False, "shape": shape}).ljust(117) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _dense_graph() -> nir.NIRGraph:
    rng = np.random.default_rng(3)
    cell = {key: np.full(4, value, dtype=np.float32) for key, value in
            {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}.items()}  # fmt: skip
    return _chained(input=nir.Input(np.array([5])), fc=nir.Affine(rng.normal(size=(4, 5)), rng.normal(size=4)),
                    lif=nir.LIF(**cell), output=nir.Output(np.array([4])))  # fmt: skip


def _conv_graph() -> nir.NIRGraph:
    rng = np.random.default_rng(4)
    shape, out = (2, 6, 7), (3, 2, 2)
    conv = nir.Conv2d(shape[1:], rng.normal(size=(3, 2, 3, 4)), 1, 0, 1, 1, rng.normal(size=3))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    cell = nir.IF(r=np.ones(out), v_threshold=np.ones(out), v_reset=np.zeros(out))
    last = {key: np.full(4, value) for key, value in {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0}.items()}
    return _chained(input=nir.Input(np.array(shape)), conv=conv, pool=pool, cell=cell,
                    flat=nir.Flatten({"input": np.array(out)}, 0, -1), fc=nir.Linear(rng.normal(size=(4, 12))),
                    last=nir.IF(**last), output=nir.Output(np.array([4])))  # fmt: skip


def _recurrent_graph() -> nir.NIRGraph:
    rng = np.random.default_rng(5)
    cell = {key: np.full(3, value) for key, value in
            {"tau_syn": 2e-4, "tau_mem": 5e-4, "r": 5.0, "w_in": 2.0, "v_leak": 0.0, "v_threshold": 1.0,
             "v_reset": 0.0}.items()}  # fmt: skip
    nodes = {"input": nir.Input(np.array([4])), "fc": nir.Linear(rng.normal(size=(3, 4))), "lif": nir.CubaLIF(**cell),
             "rec": nir.Linear(rng.normal(size=(3, 3))), "output": nir.Output(np.array([3]))}  # fmt: skip
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def _chained(**nodes: nir.NIRNode) -> nir.NIRGraph:
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
