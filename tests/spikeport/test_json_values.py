"""JSON values are read back as they were written, and what has another form is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from spikeport.json_values import OMIT_NONE, JsonValue
from spikeport.values import Interval, Missing


@dataclass(frozen=True, kw_only=True)
class Inner(JsonValue):
    name: str
    size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Outer(JsonValue):
    energy: Interval | None
    parts: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner]
    score: float | Missing
    kind: Literal["a", "b"] = "a"
    note: str | None = field(default=None, metadata=OMIT_NONE)
    pair: tuple[str, int] = ("x", 1)
    free: Any = None


WHOLE = Outer(
    energy=Interval(low=1.0, nominal=2.0, high=4.0),
    parts=(Inner(name="one", size=(2, 3, 5)), Inner(name="two", size=())),
    by_name={"k": Inner(name="three", size=(7,))},
    score=Missing("nobody measured it"),
    kind="b",
    note="a note",
    pair=("y", 4),
    free={"deep": [1]},
)
JSON = {
    "energy": {"low": 1.0, "nominal": 2.0, "high": 4.0},
    "parts": [{"name": "one", "size": [2, 3, 5]}, {"name": "two", "size": []}],
    "by_name": {"k": {"name": "three", "size": [7]}},
    "score": {"value": None, "reason": "nobody measured it"},
    "kind": "b",
    "note": "a note",
    "pair": ["y", 4],
    "free": {"deep": [1]},
}


def test_written_and_read_back() -> None:
    assert WHOLE.to_json() == JSON
    assert Outer.from_json(JSON) == WHOLE
    assert Outer.from_json(JSON | {"from_a_later_version": 1}) == WHOLE


def test_none_is_null_or_left_out_and_defaults_may_be_absent() -> None:
    bare = Outer.from_json({"energy": None, "by_name": {}, "score": 3})
    assert (bare.parts, bare.kind, bare.note, bare.score) == ((), "a", None, 3)
    written = bare.to_json()
    assert written["energy"] is None
    assert "note" not in written


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"by_name": {"k": {"name": "three"}}}, "Inner has no size"),
        ({"kind": "c"}, "'c' is not of type"),
        ({"parts": [{"name": 1, "size": []}]}, "1 is not of type"),
        ({"parts": [{"name": "one", "size": [1.5]}]}, "1.5 is not of type"),
        ({"score": True}, "True is not of type"),
        ({"energy": {"low": 3.0, "nominal": 2.0, "high": 4.0}}, "are not in order"),
        ({"parts": "text"}, "'text' is not of type"),
    ],
)
def test_another_form_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Outer.from_json(JSON | changes)
