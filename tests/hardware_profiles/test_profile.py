"""Profiles: what ships is sound, and a bad file is refused with its name, key and reason."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from spikeport.errors import UserError
from spikeport.hardware_profiles import profile
from spikeport.hardware_profiles.profile import list_profiles, load_profile

GOOD = """
schema = "snn-energy-profile/1"
[device]
id = "mine"
name = "My chip"
kind = "neuromorphic"
source = "a paper"
[accounting]
scope = "incremental"
[[energy]]
op = "synop"
unit = "pJ"
value = 2.0
low = 1.5
high = 3.0
status = "measured"
source = "a paper"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(UserError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_every_shipped_file_is_listed_and_loads_under_its_own_id() -> None:
    folder = Path(profile.__file__).parent / "devices"
    assert {path.stem for path in folder.glob("*.toml")} == set(list_profiles())
    for name in list_profiles():
        assert load_profile(name).device.id == name


def test_published_constants_of_loihi1() -> None:
    """Davies 2018, Table 2, typed in a second time."""
    profile = load_profile("loihi1")
    table = {
        "synop": 23.6,
        "neuron_active": 81,
        "neuron_inactive": 52,
        "spike_local": 1.7,
        "hop_ew": 3.0,
        "hop_ns": 4.0,
        "learn_update": 120,
    }
    for op, value in table.items():
        constant = profile.constant(op)
        assert constant is not None
        assert (constant.value, constant.status) == (value, "pre_silicon")
    synop = profile.constant("synop")
    assert synop is not None
    assert synop.bound == "min"
    # The low end is what silicon showed once: 1.33 mJ less the updates, over the synapses of Frady 2020.
    assert synop.interval[0] == pytest.approx((1.33e9 - 76_800 * 60 * 52) / (750 * 76_800), abs=0.05)


def test_loihi2_has_no_energy_number() -> None:
    profile = load_profile("loihi2")
    assert all(entry.value is None for entry in profile.energy)
    assert {"synop", "neuron_active", "neuron_inactive", "latency"} <= set(profile.unknown_terms)


def test_file_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    profile = load_profile(path)
    synop = profile.constant("synop")
    assert synop is not None
    assert synop.interval == (1.5, 2.0, 3.0)
    assert profile.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert profile.unknown_terms == ("neuron_active", "neuron_inactive", "routing", "static", "latency")


def test_left_out_and_unknown_are_the_same(tmp_path: Path) -> None:
    entry = '[[energy]]\nop = "neuron_active"\nunit = "pJ"\nstatus = "unknown"\nsource = "nowhere"\n'
    assert (
        load_profile(write(tmp_path, GOOD + entry)).unknown_terms == load_profile(write(tmp_path, GOOD)).unknown_terms
    )


def test_number_without_source_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD.replace('status = "measured"\nsource = "a paper"', 'status = "measured"'))
    assert "energy[synop]" in message
    assert "a number needs its source" in message


def test_zero_without_source_is_refused(tmp_path: Path) -> None:
    entry = '[[energy]]\nop = "spike_local"\nunit = "pJ"\nvalue = 0\nstatus = "convention"\n'
    message = refusal(tmp_path, GOOD + entry)
    assert "energy[spike_local]" in message
    assert "a literal 0 needs a source" in message


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('status = "measured"\n', "", ("energy[synop].status is missing",)),
        ('status = "measured"', 'status = "guessed"', ("energy[synop].status", "'guessed'", "measured")),
        ("value = 2.0", "value = -2.0", ("energy[synop].value = -2.0", "greater than or equal to 0")),
        ("value = 2.0", "value = nan", ("energy[synop].value", "finite")),
        ("value = 2.0", 'value = "2"', ("energy[synop].value", "'2'")),
        ("low = 1.5", "low = 2.5", ("energy[synop]", "low <= value <= high", "2.5")),
        ("high = 3.0", "high = 1.0", ("energy[synop]", "low <= value <= high", "1.0")),
        ("value = 2.0\n", "", ("energy[synop]", "needs a value")),
        ('status = "measured"', 'status = "unknown"', ("energy[synop]", "forbids a value")),
        ('unit = "pJ"', 'unit = "nJ"', ("energy[synop].unit", "pJ")),
        ('op = "synop"', 'op = "spike"', ("op = 'spike'", "synop")),
        ("high = 3.0", "hihg = 3.0", ("unknown key 'energy[synop].hihg'",)),
        ('kind = "neuromorphic"', 'kind = "gpu"', ("[gpu]",)),
        ("energy-profile/1", "energy-profile/2", ("schema", "snn-energy-profile/1")),
        ('scope = "incremental"', "", ("accounting.scope is missing",)),
        ("[device]", "[device", ("this is not a TOML file",)),
    ],
)
def test_bad_file_is_refused_with_key_and_reason(
    tmp_path: Path, before: str, after: str, words: tuple[str, ...]
) -> None:
    assert GOOD.count(before) == 1
    message = refusal(tmp_path, GOOD.replace(before, after))
    for word in words:
        assert word in message


def test_all_in_with_parts_would_count_twice(tmp_path: Path) -> None:
    all_in = GOOD.replace('"incremental"', '"all_in"')
    all_in = all_in.replace('source = "a paper"\n[acc', 'source = "a paper"\noperating_point = { vdd_V = 0.8 }\n[acc')
    assert load_profile(write(tmp_path, all_in)).accounting.scope == "all_in"
    neuron = '[[energy]]\nop = "neuron_active"\nunit = "pJ"\nvalue = 1.0\nstatus = "measured"\nsource = "a paper"\n'
    static = '[static.per_chip_mW]\nvalue = 1.0\nstatus = "measured"\nsource = "a paper"\n'
    assert "neuron_active" in refusal(tmp_path, all_in + neuron)
    assert "static" in refusal(tmp_path, all_in + static)
    assert "operating_point" in refusal(tmp_path, all_in.replace("operating_point = { vdd_V = 0.8 }\n", ""))


def test_energy_given_twice_is_refused(tmp_path: Path) -> None:
    assert "synop is given twice" in refusal(tmp_path, GOOD + GOOD[GOOD.index("[[energy]]") :])


def test_unknown_profile_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hardware profile 'loihi3' is unknown.*loihi1.*cmos45-fp32"):
        load_profile("loihi3")
    with pytest.raises(UserError, match=r"absent\.toml: cannot read this hardware profile: No such file"):
        load_profile(tmp_path / "absent.toml")


def test_reading_a_profile_loads_neither_numpy_nor_torch() -> None:
    load = "import sys, spikeport.hardware_profiles.profile as h; h.load_profile('loihi1')"
    code = load + "; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
