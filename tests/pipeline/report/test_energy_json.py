"""The types of energy rows in report.json declare the same fields as the values that write them."""

import dataclasses
import types
import typing

import pytest

from spikeport.json_values import OMIT_NONE
from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.values import Interval, IntervalJson

UNIONS = (typing.Union, types.UnionType)


def members(hint) -> set:
    return set(typing.get_args(hint)) if typing.get_origin(hint) in UNIONS else {hint}


def faults(written, declared, path: str = "") -> list[str]:
    """Differences between the JSON of a type and the type that its reader declares. Readers may allow None as well."""
    if typing.get_origin(declared) is typing.NotRequired:
        declared = typing.get_args(declared)[0]
    ours, theirs = members(written), members(declared)
    if type(None) in ours and type(None) not in theirs:
        return [f"{path}: None is not declared"]
    ours, theirs = ours - {type(None)}, theirs - {type(None)}
    if len(ours) != 1 or len(theirs) != 1:
        return [f"{path}: {written} is declared as {declared}"]
    one, other = ours.pop(), theirs.pop()
    origin = typing.get_origin(one)
    if one is Interval:
        return [] if other is IntervalJson else [f"{path}: an interval is declared as {other}"]
    if dataclasses.is_dataclass(one):
        return field_faults(one, other, path)
    if origin in (tuple, dict) and typing.get_origin(other) is {tuple: list, dict: dict}[origin]:
        place = 0 if origin is tuple else 1
        return faults(typing.get_args(one)[place], typing.get_args(other)[place], f"{path}[]")
    fits = other is (str if origin is typing.Literal else one)
    return [] if fits else [f"{path}: {one} is declared as {other}"]


def field_faults(value: type, row: type, path: str) -> list[str]:
    written, declared = typing.get_type_hints(value), typing.get_type_hints(row, include_extras=True)
    found = [f"{path}.{name}: only one side has it" for name in sorted(written.keys() ^ declared.keys())]
    for field in dataclasses.fields(value):
        if field.name not in declared:
            continue
        hint, where = written[field.name], f"{path}.{field.name}"
        if field.metadata == OMIT_NONE:
            hint = typing.Union[tuple(members(hint) - {type(None)})]  # noqa: UP007 - built at run time
            optional = typing.get_origin(declared[field.name]) is typing.NotRequired
            found += [] if optional else [f"{where}: may be absent"]
        found += faults(hint, declared[field.name], where)
    return found


def test_rows_declare_what_an_estimate_writes():
    assert field_faults(EnergyEstimate, EnergyRow, "") == []


@dataclasses.dataclass
class Written:
    energy: Interval | None
    cores: int
    note: str | None = dataclasses.field(default=None, metadata=OMIT_NONE)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"energy": IntervalJson | None, "cores": int, "note": typing.NotRequired[str]}, []),
        ({"energy": IntervalJson, "cores": int, "note": typing.NotRequired[str]}, [".energy: None is not declared"]),
        ({"energy": IntervalJson | None, "cores": int, "note": str}, [".note: may be absent"]),
        ({"energy": IntervalJson | None, "note": typing.NotRequired[str]}, [".cores: only one side has it"]),
        (
            {"energy": IntervalJson | None, "cores": str, "note": typing.NotRequired[str]},
            [".cores: <class 'int'> is declared as <class 'str'>"],
        ),
    ],
)
def test_the_comparison_finds_differences(fields, fault):
    assert field_faults(Written, typing.TypedDict("Row", fields), "") == fault
