"""The documentation builds as a site: links and anchors hold, each room has a page, no page loads from another host."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, with every warning as an error."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "typings/link.py"], cwd=ROOT, check=True)
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return folder


def test_every_room_has_a_page_made_from_its_docstrings(site):
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (site / "reference/modules").glob("*.html")}
    for house in ("export", "pipeline"):
        for room in (ROOT / house).iterdir():
            if any(not module.name.startswith("_") for module in room.rglob("*.py")):
                text = pages[f"spikeport.{house}.{room.name}"]
                assert text.count('class="doc doc-heading"') > 1, room.name
    assert 'id="spikeport.export.quantization.quantize.quantize"' in pages["spikeport.export.quantization"]


def test_pages_load_nothing_from_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']?([^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]*\brel=[\"']?stylesheet[\"']?[^>]*href=[\"']?([^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]*href=[\"']?([^\"' >]+)[\"']?[^>]*\brel=[\"']?stylesheet", text)
        assert loaded
        assert [address for address in loaded if "//" in address] == [], page.name
