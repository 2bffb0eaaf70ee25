"""The ten lines of the README print what the README shows, and the README stays short."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks() -> tuple[str, str]:
    """The program of the README, and the output that it shows."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"test_readme.py -->\n```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1], found[2]


@pytest.mark.lava
def test_the_ten_lines_print_what_is_shown(tmp_path):
    program, output = blocks()
    words = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONUTF8": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == output.splitlines()


def test_the_program_has_ten_lines_and_the_page_is_short():
    program, _ = blocks()
    assert len([line for line in program.splitlines() if line.strip()]) == 10
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150
