"""Hostile recipes: their text, types and sizes of values, names, paths and factories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from pydantic import BaseModel

from hostile_inputs.cases import Case
from hostile_inputs.event_files import RECIPE
from spikeport.pipeline.run.recipe import Recipe

NOWHERE = ("data.source=class-folders", "data.root=nowhere", "data.events=e", "data.images=i")
READ = ["train", "r.toml", "-q", *(word for change in NOWHERE for word in ("--set", change))]  # ends before it trains
SHORT = ("data.train=20", "data.validation=20", "data.test=20", "training.epochs=1", "teacher.epochs=1",
         "quantization.epochs=0", "distillation.train_baseline=false")  # fmt: skip
TRAIN = ["train", "r.toml", "-q", *(word for change in SHORT for word in ("--set", change))]
SYNTHESIS = (
    "distillation.method=synthetic-events",
    "synthesis.updates=2",
    "synthesis.pretrain_epochs=1",
    "synthesis.finetune_epochs=1",
)
INFO = ["data", "info", "r.toml"]
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "noise": bytes(range(256)) * 9,
    "no UTF-8": b'name = "\xff\xfe"',
    "UTF-16": 'name = "a"'.encode("utf-16"),
    "a BOM": b'\xef\xbb\xbfname = "a"',
    "NUL": b'name = "a\0b"',
    "arrays in arrays": b"x = " + b"[" * 900 + b"]" * 900,
    "arrays in 100,000 arrays": b"x = " + b"[" * 100_000,
    "tables in tables": b"x = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
    "a table's key of 3,000 parts": b"[" + b".".join([b"a"] * 3000) + b"]\nb = 1",
    "a key of 5,000 parts": b".".join([b"a"] * 5000) + b" = 1",
    "5,000 digits": b"[data]\nsteps = " + b"9" * 5000,
    "5,000 hexadecimal digits": b"[data]\nsteps = 0x" + b"f" * 5000,
    "4,000 digits": b"[data]\nsteps = " + b"9" * 4000,
    "100,000 keys": b"".join(b"k%d = 1\n" % n for n in range(100_000)),
    "a key of 1 MB": b'"' + b"k" * 1_000_000 + b'" = 1',
    "a value of 10 MB": b'name = "' + b"k" * 10_000_000 + b'"',
    "a key that steers": b'"\\u001b[31m\\u202e\\n" = 1',
    "a section that steers": b'["\\u001b]0;x\\u0007"]\na = 1',
    "a date": b"[data]\nsteps = 1979-05-27T07:32:00Z",
    "a date of no year": b"[data]\nsteps = 0000-00-00",
    "a time": b"[data]\nsteps = 25:99:99",
    "the same key twice": b"name = 'a'\nname = 'b'",
    "the same section twice": b"[data]\n[data]\n",
    "JSON": b'{"name": "a"}',
    "YAML": b"name: !!python/object/apply:os.system ['touch ran']",
    "a string without end": b'name = "abc',
    "surrogates": b'name = "\\ud800"',
    "1e999": b"[training]\nlr = 1e999",
    "exponent of 5,000 digits": b"[training]\nlr = 1e" + b"9" * 5000,
    "a year of comments": b"# \x1b[31m\n" * 10,
    "a list for a section": b"data = [1, 2]",
    "a section for a value": b"[name]\na = 1",
    "sections in a list": b"[[data]]\n[[data]]\n",
}
ODD: list[Any] = [-1, 0, 2**31, 2**63 - 1, -(2**63), 1e30, -1e308, float("nan"), float("inf"), True, "", "\x1b[31m",
                  "x" * 5000, "\u202e", [], {}, [[[]]], {"a": {"b": 1}}, [1, "a"], "../../x", "/",
                  "os:system"]  # fmt: skip
SIZES = {  # too large for any machine: refused before anything is allocated
    "data": {key: [2**63 - 1, 10**30, 10**12, 10**6] for key in ("height", "width")} | {"step_us": [2**63 - 1, 10**30]}
    | {key: [2**63 - 1, 10**30] for key in ("test", "validation", "train", "folds", "static_limit", "split_seed")}
    | {"image_id_offset": [2**63 - 1, -(10**30)]},
    "augmentation": {key: [2**63 - 1, 10**30, 10**6] for key in ("shift", "time_shift")},
    "student": {"hidden": [2**63 - 1, 10**12], "kernel": [2**63 - 1, 10**9, 4], "width": [1e30, 1e-30],
                "channels": [[2**63 - 1], [10**9, 10**9], []], "layers": [[10**12], [2**63 - 1]]},
    "teacher": {"size": [2**63 - 1, 10**9], "width": [1e30, 1e-30], "batch": [2**63 - 1]},
    "training": {"threads": [2**63 - 1, 10**9], "devices": [2**63 - 1, 10**9], "nodes": [2**63 - 1],
                 "accumulate": [2**63 - 1]},
    "synthesis": {"width": [2**63 - 1], "kernel": [10**9 + 1], "cached_views": [2**63 - 1]},
}  # fmt: skip
NAMES = ("../../escaped", "/", "..", ".", "", "a/b", "~", "$HOME", "a\nb", "\x1b[31m", "-rf", "CON", "n" * 300,
         "\u202ea",         "a\\b", " ", "<script>alert(1)</script>")  # fmt: skip
FACTORIES = ("os:system", "os:_exit", "os:abort", "sys:exit", "no.such:module", ":", "a:", ":b", "builtins:quit",
             "os.path:join:x", "\x1b[31m:x", "run:../..", "run:/etc", "onnx:/etc/passwd", "onnx:",
             "antigravity:x")  # fmt: skip
PATHS = (
    "/dev/zero",
    "/proc/self/mem",
    "..",
    "/",
    "~nobody",
    "$NOT_SET_ANYWHERE",
    "\x1b[31m",
    "a" * 5000,
    "/etc/passwd",
)


WORDS = ("=", "a", "a=", "=1", "a.b.c.d=1", "data=1", "data.steps.x=1", "data.steps=[", "\x1b[31m=1", "a" * 9999)


def _fields(model: type[BaseModel] = Recipe, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, (*prefix, name))
        else:
            yield (*prefix, name)


def _nested(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return value


def _text(content: bytes, words: list[str]) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        (folder / "r.toml").write_bytes(content)
        return words

    return build


def _toml(values: dict[str, Any]) -> bytes:
    try:
        return tomli_w.dumps(values).encode()
    except UnicodeEncodeError:
        return b""


def cases() -> list[Case]:
    """All hostile recipes, in order."""
    found = [Case("recipes", f"text: {name}", _text(content, READ), ("runs",)) for name, content in TEXTS.items()]
    for number, keys in enumerate(_fields()):
        for turn in range(2):
            value = ODD[(7 * number + 11 * turn) % len(ODD)]
            made = _text(_toml(_nested(keys, value)), READ)
            found.append(Case("recipes", f"{'.'.join(keys)} = {str(value)[:20]!r}", made, ("runs",)))
    for section, fields in SIZES.items():
        for key, values in fields.items():
            for value in values:
                # --set, since integers of a TOML file have 64 bits
                words = list(INFO if section == "data" else TRAIN)
                for change in (*(SYNTHESIS if section == "synthesis" else ()), f"{section}.{key}={value}"):
                    words += ["--set", change]
                recipe = b'name = "a"\n[data]\nsource = "digits"\n'
                written = ("runs",) if section != "data" else ()
                found.append(Case("recipes", f"size {section}.{key} = {value}", _text(recipe, words), written))
    for name in NAMES:
        content = _toml({"name": name, "data": {"source": "class-folders", "root": "no", "events": "e", "images": "i"}})
        found.append(Case("recipes", f"name {name[:30]!r}", _text(content, ["train", "r.toml", "-q"]), ("runs",)))
    for name in FACTORIES:
        for section in ("teacher", "data"):
            key = "network" if section == "teacher" else "source"
            content = _toml({"name": "a", section: {key: name}})
            found.append(Case("recipes", f"{section} {name!r}", _text(content, TRAIN), ("runs",)))
    for path in PATHS:
        for key in ("root", "events", "images"):
            content = RECIPE.encode()
            words = ["data", "info", "r.toml", "--set", f"data.{key}={path}"]
            found.append(Case("recipes", f"data.{key} = {path[:20]!r}", _text(content, words)))
    for word in WORDS:
        found.append(Case("recipes", f"--set {word[:20]!r}", _text(b'name = "a"', [*READ, "--set", word]), ("runs",)))
    return found
