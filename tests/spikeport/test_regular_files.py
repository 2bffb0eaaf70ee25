"""Only files are opened: what a user names, too, and no more of it than settings have."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from set_folders import cifar10dvs

from spikeport.errors import UserError
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.data.readers.cifar10 import read_cifar10
from spikeport.pipeline.profiling.baseline.baseline_file import read_baseline
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.regular_files import read_small

READERS = {"a.toml": load_recipe, "./b.toml": load_profile, "c.json": read_baseline}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="only files are read: this is a named pipe"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_not_there_has_its_own_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"cannot read this .*No such file"):
        READERS[name](tmp_path / name)


def test_settings_have_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("#" * 99)
    assert read_small(tmp_path / "a.toml", most=99) == b"#" * 99
    with pytest.raises(UserError, match=r"a\.toml: this is too large to be settings: it has more than 98 bytes"):
        read_small(tmp_path / "a.toml", most=98)
    os.truncate(tmp_path / "a.toml", 2**40)  # of holes
    for reader in (load_recipe, load_profile):
        with pytest.raises(UserError, match="too large to be settings"):
            reader(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["a = " + "[" * 3000 + "]" * 3000, "a = " + "9" * 5000, "a = '\udcff'"])
def test_a_profile_that_python_cannot_parse_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=r"a\.toml: this is not a TOML file"):
        load_profile(tmp_path / "a.toml")


def test_a_file_of_cifar10_has_a_bound(tmp_path: Path) -> None:
    cifar10dvs(tmp_path)
    folder = tmp_path / "CIFAR10" / "cifar-10-batches-bin"
    assert len(read_cifar10(folder).images)
    os.truncate(folder / "data_batch_2.bin", 3073 * 10**8)
    with pytest.raises(UserError, match=r"data_batch_2\.bin: .*: 307,300,000,000 bytes; 184,380,000 at most"):
        read_cifar10(folder)


@pytest.mark.parametrize(
    "content", [b"recording,image\n\xff\xfe,x\n", b'recording,image\n"' + b"x" * 200_000 + b'",y\n']
)
def test_a_file_of_pairs_that_is_no_csv_is_named(tmp_path: Path, content: bytes) -> None:
    from spikeport.pipeline.data.sources.cifar10dvs import load

    options = cifar10dvs(tmp_path)
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"pairs\.csv: this file of pairs cannot be read"):
        load(options)


def test_a_tiny_set_is_read(tmp_path: Path) -> None:
    """The same files, undamaged: else the refusals above could be of anything."""
    from spikeport.pipeline.data.sources.cifar10dvs import load

    assert np.shape(load(cifar10dvs(tmp_path)).images.images)[1:] == (3, 32, 32)
