"""Files count as recordings of a data set if they are in its list, not because they lie near it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from named_files import FILES
from set_folders import SETS

from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.stages.own_recordings import count_own


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.mark.parametrize("name", FILES)
def test_each_recording_of_a_named_set_has_its_file(at: Path, name: str) -> None:
    raw = SOURCES[name].load(SETS[name](at), None)
    assert [file.relative_to(at).as_posix() for file in raw.files] == [FILES[name](key) for key in raw.keys]


@pytest.mark.parametrize("name", FILES)
def test_only_recordings_of_a_named_set_count(at: Path, name: str) -> None:
    data = SETS[name](at)
    own = [at / FILES[name](key) for key in load_dataset(data).test.keys]
    beside = at / "mine" / own[0].parent.name / own[0].name  # below data.root, in a folder of a class
    beside.parent.mkdir(parents=True)
    shutil.copy(own[0], beside)
    assert count_own(data, [beside]) == 0
    assert count_own(data, [*own, beside]) == len(own)
    link = at.parent / "link"
    link.symlink_to(own[-1])
    assert count_own(data, [link, beside]) == 1


@pytest.mark.parametrize("name", ["shd", "ssc"])
def test_a_file_of_many_recordings_is_none(at: Path, name: str) -> None:
    data = SETS[name](at)
    assert count_own(data, [at / name.upper() / f"{name}_test.h5"]) == 0


def test_a_set_that_is_gone_has_no_recordings(at: Path) -> None:
    data = SETS["ncars"](at)
    left = at / "cars" / "a.dat"
    left.parent.mkdir()
    shutil.move(next((at / "NCARS").rglob("*.dat")), left)
    shutil.rmtree(at / "NCARS")
    assert count_own(data, [left]) == 0
