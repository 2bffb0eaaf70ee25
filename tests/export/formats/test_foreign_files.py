"""Files that are no HDF5, given to `export`: each refusal says what the file is and what would help."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.export.formats.nir_file import read_nir
from spikeport.export.formats.safe_hdf5 import read_tree


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["net.pt", "net.nir"])
def test_a_pickled_module_names_the_way_from_a_module(tmp_path, zipped, name):
    """By its content too, where the name does not say it."""
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"{name}: is not a readable HDF5.*torch pickled.*spikeport.convert\(net"):
        read_nir(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git LFS pointer.*git lfs pull"),
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><title>404</title>", "web page"),
        ((20).to_bytes(8, "little") + b'{"a": {"dtype": 0}} ', "safetensors"),
        (bytes(4096), "not written to the end"),
        (b"PK\x03\x04 some other archive", "no HDF5 signature"),
        (np.arange(9).tobytes(), "no HDF5 signature"),
    ],
)
def test_what_else_is_no_hdf5(tmp_path, content, words):
    path = tmp_path / "x.net"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"x.net: is not a readable HDF5 file: .*{words}"):
        read_tree(path)


def test_half_of_a_file_is_said_to_be_half(tmp_path):
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5000.0)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"not written to the end.*Hint: write or copy the file again"):
        read_tree(path)


def test_a_signature_behind_a_user_block_is_one(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["x"] = np.arange(5)
    assert read_tree(path).members["x"].tolist() == [0, 1, 2, 3, 4]
