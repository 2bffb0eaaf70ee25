"""Objects that a recipe names as package.module:attribute."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from spikeport.errors import UserError
from spikeport.factory import call_factory, is_factory, load_object


@pytest.mark.parametrize(
    ("name", "meant"),
    [("a.b:c", True), ("a:b.c", True), ("onnx:x.onnx/y", False), ("conv", False), ("a:", False), (":b", False)],
)
def test_what_is_meant_as_code(name: str, meant: bool) -> None:
    assert is_factory(name) == meant


def test_a_note_names_the_file_before_its_code_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    """Packages above the module run too, so the note comes before them; they record the notes up to then."""
    package = tmp_path / "mine_of_test" / "deep"
    package.mkdir(parents=True)
    heard = tmp_path / "heard"
    for file in (package.parent / "__init__.py", package / "__init__.py"):
        file.write_text(f"import sys\nopen({str(heard)!r}, 'a').write(sys.stderr.getvalue() + '|')\n")
    (package / "net.py").write_text("def make(shape, classes):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    message = io.StringIO()
    with contextlib.redirect_stderr(message):
        for _ in range(2):
            load_object("mine_of_test.deep.net:make", "teacher.network")
    line = "note: teacher.network = 'mine_of_test.deep.net:make' is code, which runs now: module mine_of_test.deep.net "
    assert message.getvalue() == f"{line}of {package / 'net.py'}\n"  # once
    assert heard.read_text() == 2 * f"{message.getvalue()}|"
    with pytest.raises(UserError, match="cannot be imported"):
        load_object("no_such_module_at_all.deep:make", "teacher.network")


@pytest.mark.parametrize(
    ("line", "cause"),
    [("1 / 0", "ZeroDivisionError in line 2 of .*: division"), ("exit(3)", "SystemExit in line .*: 3")],
)
def test_an_own_module_that_fails_is_named_with_its_line(tmp_path: Path, monkeypatch, line: str, cause: str) -> None:
    (tmp_path / "failing_module.py").write_text(f"value = 1\n{line}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with pytest.raises(UserError, match=rf"'failing_module:f' cannot be imported: {cause}.* Hint: correct the module"):
        load_object("failing_module:f", "data.source")


def test_a_function_is_called_and_its_error_is_named() -> None:
    with pytest.raises(UserError, match=r"^x: sys:exit\(4\) failed: SystemExit: 4\. Hint: name a function$"):
        call_factory("sys:exit", "x", 4, hint="name a function")
    assert call_factory("os.path:join", "x", "a", "b", hint="") == "a/b"
    with pytest.raises(UserError, match=r"^x: os:getcwd\(3\) failed: TypeError: .* Hint: name a function$"):
        call_factory("os:getcwd", "x", 3, hint="name a function")
    with pytest.raises(UserError, match=r"^x: 'os:sep' is not callable\. Hint: name a function$"):
        call_factory("os:sep", "x", hint="name a function")
