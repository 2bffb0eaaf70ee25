"""The [memory] section of a hardware profile: its curve worked out by hand, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from spikeport.errors import UserError
from spikeport.hardware_profiles.catalogue import show_rows
from spikeport.hardware_profiles.profile import load_profile
from spikeport.hardware_profiles.schema import Memory

SHIPPED = Path(__file__).parents[2] / "hardware_profiles" / "devices" / "cmos45-lemaire.toml"


def shipped_memory() -> Memory:
    memory = load_profile("cmos45-lemaire").memory
    assert memory is not None
    return memory


@pytest.mark.parametrize(
    ("buffer_bytes", "access_pj"),
    [
        (0, 0.0),
        (4096, 5.0),
        (8 * 1024, 10.0),
        (20 * 1024, 15.0),
        (32 * 1024, 20.0),
        (528 * 1024, 60.0),
        (1024 * 1024, 100.0),
    ],
)
def test_access_energy_by_hand(buffer_bytes: float, access_pj: float) -> None:
    """Half way between two points lies half the rise; an access is 8 bytes, or 4 at the careful end."""
    per_byte = shipped_memory().byte_pj((buffer_bytes,) * 3)
    assert per_byte == pytest.approx((access_pj / 8, access_pj / 8, access_pj / 4), rel=1e-12)  # float64 products


def test_beyond_the_last_point() -> None:
    """992 KiB more, as long as the last segment, add its 80 pJ again; the low end stays at 100 pJ."""
    per_byte = shipped_memory().byte_pj(((1024 + 992) * 1024.0,) * 3)
    assert per_byte == pytest.approx((100 / 8, 180 / 8, 180 / 4), rel=1e-12)
    assert shipped_memory().largest_bytes == 1024 * 1024


def test_energy_grows_with_the_buffer() -> None:
    energies = [shipped_memory().byte_pj((size,) * 3) for size in range(0, 3_000_000, 7_001)]
    for small, large in itertools.pairwise(energies):
        assert small[0] <= large[0]
        assert small[1] < large[1]
        assert small[2] < large[2]


def test_constants_typed_in_a_second_time() -> None:
    profile = load_profile("cmos45-lemaire")
    assert {entry.op: entry.value for entry in profile.energy} == {
        "synop": 0.1,
        "synop_mac": 3.2,
        "add": 0.1,
        "mul": 3.1,
    }
    assert profile.energy_per_operation("synop").value == profile.energy_per_operation("add").value
    assert {entry.status for entry in profile.energy} == {"convention"}
    assert profile.unknown_terms == ("routing", "static", "latency")


def test_show_lists_memory_with_units_and_sources() -> None:
    rows = {row.key: row for row in show_rows(load_profile("cmos45-lemaire"))}
    assert rows["memory.access_pJ"].value == ((0, 0), (8192, 10), (32768, 20), (1048576, 100))
    assert rows["memory.access_pJ"].unit == "pJ"
    width = rows["memory.access_bytes"]
    assert (width.value, width.low, width.high, width.unit) == (8, 4, 8, "bytes")
    assert {"memory.weight_bytes", "memory.state_bytes", "memory.event_bytes"} <= set(rows)
    assert all(row.source for row in rows.values())


CURVE = "value = [[0, 0], [8192, 10], [32768, 20], [1048576, 100]]"
NEURON = '[[energy]]\nop = "neuron_active"\nunit = "pJ"\nvalue = 1.0\nstatus = "convention"\nsource = "a"\n'
EVENT = '[memory.event_bytes]\nvalue = 4.0\nstatus = "convention"\nsource = "the convention\'s 32-bit integers"\n'


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (EVENT, EVENT[: EVENT.index("source")], ("memory.event_bytes", "a number needs its source")),
        (EVENT, EVENT.replace("4.0", "0.0"), ("event_bytes must be known and above 0",)),
        (EVENT, EVENT.replace("value = 4.0\n", "").replace("convention", "unknown", 1), ("event_bytes must be known",)),
        (
            "[memory.event_bytes]",
            "[memory.spike_bytes]",
            ("unknown key 'memory.spike_bytes'", "event_bytes is missing"),
        ),
        (CURVE, CURVE.replace("32768", "4096"), ("memory.access_pJ", "the points of a curve ascend")),
        (CURVE, CURVE.replace("100]", "15]"), ("memory.access_pJ", "never costs less")),
        (CURVE, "value = [[0, 0]]", ("memory.access_pJ", "two points or more")),
        (CURVE, CURVE.replace("[0, 0], ", ""), ("memory.access_pJ", "0 bytes")),
        (CURVE, CURVE + "\nhigh = [[0, 0], [9000, 5]]", ("memory.access_pJ", "high is below value")),
        ('op = "mul"', 'op = "hop_ew"', ("[memory] needs the energy of mul",)),
        ("[memory.access_pJ]", NEURON + "[memory.access_pJ]", ("neuron_active would count it twice",)),
        ('scope = "incremental"', 'scope = "all_in"', ("scope 'all_in' already contains",)),
    ],
)
def test_bad_memory_is_refused_with_key_and_reason(
    tmp_path: Path, before: str, after: str, words: tuple[str, ...]
) -> None:
    text, path = SHIPPED.read_text(), tmp_path / "mine.toml"
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    with pytest.raises(UserError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message
