"""Downloads from a host on this machine: complete files are not fetched again, and missing files are reported."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_host import EVENTS, Host, left, quiet, set_archives, tarred, zipped

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import CannotWriteError
from spikeport.pipeline.data.downloads.download import download
from spikeport.pipeline.data.sources.table import SOURCES


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_archives_are_fetched_unpacked_and_not_fetched_again(host: Host, tmp_path: Path, monkeypatch) -> None:
    """One archive with an archive inside, as N-Caltech101's host has it, one tar, and one file that stays packed."""
    parts = (
        host.archive("outer.zip", zipped({"deep/inner.zip": zipped(EVENTS)}), inner=("inner.zip",)),
        host.archive("images.tar.gz", tarred({"I/a.jpg": b"x"}), content_folder="IN/I", suffix=(".jpg",), count=1),
        host.archive("labels.gz", b"packed", content_folder="RAW", into="RAW", unpack=False),
    )
    set_archives(monkeypatch, "toy", parts)
    rows = download("toy", tmp_path, quiet)
    assert [row["state"] for row in rows] == ["fetched"] * 3
    assert {name: (tmp_path / "IN" / name).read_bytes() for name in EVENTS} == EVENTS
    assert (tmp_path / "IN" / "I" / "a.jpg").read_bytes() == b"x"
    assert (tmp_path / "RAW" / "labels.gz").read_bytes() == b"packed"
    host.asked.clear()
    assert [row["state"] for row in download("toy", tmp_path, quiet)] == ["here"] * 3
    assert host.asked == []
    (tmp_path / "IN" / "Events" / "7" / "2.bin").unlink()  # the archive is whole: unpacked again, not fetched
    assert [row["state"] for row in download("toy", tmp_path, quiet)] == ["fetched", "here", "here"]
    assert host.asked == []


def test_archives_of_one_file_each_share_a_folder(host: Host, tmp_path: Path, monkeypatch) -> None:
    """As the Heidelberg sets: a part that is there does not stand for the other."""
    parts = tuple(
        host.archive(f"{name}.zip", zipped({name: b"x"}), content_folder="IN", layout=name, suffix=(name,), count=1)
        for name in ("a_train.h5", "a_test.h5")
    )
    set_archives(monkeypatch, "toy", parts)
    (tmp_path / "IN").mkdir()
    (tmp_path / "IN" / "a_train.h5").write_bytes(b"x")
    assert download("toy", tmp_path, quiet) == [
        {"part": "IN/a_train.h5.zip", "state": "here"}, {"part": "IN/a_test.h5.zip", "state": "fetched"},
    ]  # fmt: skip
    assert set(host.asked) == {"a_test.h5.zip"}


def test_a_gone_host_is_said_after_the_others_were_fetched(host: Host, tmp_path: Path, monkeypatch) -> None:
    gone = host.archive("events.zip", zipped(EVENTS))
    del host.files["events.zip"]
    set_archives(monkeypatch, "toy", (gone, host.archive("a.gz", b"a", content_folder="RAW", into="RAW", unpack=False)))
    with pytest.raises(MissingDependencyError) as caught:
        download("toy", tmp_path, quiet)
    message = str(caught.value)
    for word in (
        "toy could not be downloaded completely",
        "events.zip: HTTP Error 404",
        f"MD5 {gone.md5}",
        "run the command again",
    ):
        assert word in message
    assert f"unpack events.zip, so that {tmp_path / 'IN' / 'Events'}/<class>/<id>.bin is there" in message
    assert (tmp_path / "RAW" / "a.gz").is_file()


def test_a_full_disk_is_said_and_leaves_nothing(host: Host, tmp_path: Path, monkeypatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    set_archives(monkeypatch, "toy", (host.archive("events.zip", zipped(EVENTS)),))
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(CannotWriteError, match="No space left"):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.zip"]


def test_what_no_host_has_is_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"no public host.*ask its authors.*CEP-DVS/events/<class>/<n>\.mat"
    ):
        download("cepdvs", tmp_path, quiet)
    with pytest.raises(UserError, match=r"'digits' is not a data set with downloads.*nmnist, ncaltech101"):
        download("digits", tmp_path, quiet)


def test_every_named_set_has_its_archives_with_addresses_and_hashes() -> None:
    assert {name for name, source in SOURCES.items() if not source.archives} == {"digits", "class-folders"}
    for source in SOURCES.values():
        for archive in source.archives:
            url, md5 = archive.address()
            assert archive.ask or (url.startswith("https://") and len(md5) == 32)
    for row, (part, md5) in enumerate((("train", "d102be95e7144fcc0553d1f45ba94170"),
                                       ("valid", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
                                       ("test", "a35ff1e9cffdd02a20eb850c17c37748"))):  # fmt: skip
        assert SOURCES["ssc"].archives[row].address() == (f"https://zenkelab.org/datasets/ssc_{part}.h5.zip", md5)
    assert SOURCES["nmnist"].archives[1].address()[1] == "69ca8762b2fe404d9b9bad1103e97832"  # tonic's test_md5


def test_the_command_says_what_came_and_leaves_with_3_where_something_is_gone(
    host: Host, tmp_path: Path, monkeypatch, spikeport
) -> None:
    set_archives(monkeypatch, "nmnist", (host.archive("events.zip", zipped(EVENTS)),))
    code, out, _ = spikeport("data", "download", "nmnist", "--root", tmp_path / "root", "--json")
    assert (code, json.loads(out)) == (0, [{"part": "IN/Events", "state": "fetched"}])
    code, out, err = spikeport("data", "download", "cepdvs", "--root", tmp_path / "root")
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
