"""What the documentation points to exists: files, tests by name, and the options of the command."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikeport.hardware_profiles.validation import validate_rows
from spikeport.hardware_profiles.validation_text import markdown
from spikeport.pipeline.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    file = None
    for path, name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|txt|toml|json))?(?:::(\w+))?`", text):
        if path:
            file = ROOT / path
            assert file.exists() or path.startswith(("runs/", "made/", "../")), f"{page.name} names {path}"
        if name:
            assert file is not None
            assert f"def {name}(" in file.read_text(encoding="utf-8"), f"{page.name} names {file.name}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_shows_exist(page):
    known = {"--help"}
    for verb in ("run", "train", "sweep", "export", "simulate", "replay", "check", "profile", "report", "compare"):
        result = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
        assert result.exit_code == 0
        known |= set(re.findall(r"--[a-z][a-z-]*", result.output))
    for line in re.findall(
        r"spikeport (?:run|train|sweep|export|simulate|replay|check|profile|report|compare) [^`\n]*", page.read_text()
    ):
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= known, line


def test_the_checks_in_the_energy_page_are_what_the_profiles_say():
    text = (ROOT / "docs/explanation/energy.md").read_text(encoding="utf-8")
    printed = text.partition("tests/docs/test_pages.py -->\n")[2].partition("<!-- end of checks -->")[0]
    assert printed == markdown(validate_rows())
