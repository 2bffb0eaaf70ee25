"""MkDocs hook: one reference page for each room of the package, made from the docstrings of its modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
HOUSES = {"spikeport": "spikeport", "hardware_profiles": "spikeport.hardware_profiles"}
HOUSES |= {"export": "spikeport.export", "pipeline": "spikeport.pipeline"}
LINKS = "<!-- the pages of the rooms -->"


def summary(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=[.:])\s", " ".join(text.split("\n\n")[0].split()))[0].rstrip(":")


def rooms() -> dict[str, list[tuple[str, Path]]]:
    """The modules of each room, by the room's dotted name: a module directly in a house belongs to the house."""
    found: dict[str, list[tuple[str, Path]]] = {}
    for folder, package in HOUSES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder).with_suffix("").parts
            if any(part.startswith("_") for part in inner) or "inside" in inner:
                continue
            room = ".".join((package, *inner[:1])) if len(inner) > 1 else package
            found.setdefault(room, []).append((".".join((package, *inner)), path))
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page of each room.

    Args:
        files: the files of the site.
        config: the configuration of the site.

    Returns:
        The files with the pages of the rooms.
    """
    for room, modules in rooms().items():
        text = f"# `{room}`\n\n" + "".join(f"::: {name}\n\n" for name, _ in modules)
        files.append(File.generated(config, f"reference/modules/{room}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lists the pages of the rooms where a page asks for them.

    Args:
        markdown: the text of a page.

    Returns:
        The text with the list.
    """
    if LINKS not in markdown:
        return markdown
    lines = []
    for room, modules in rooms().items():
        lines.append(f"## [`{room}`](modules/{room}.md)\n")
        lines += [f"- `{name.removeprefix('spikeport.')}`: {summary(path)}" for name, path in modules]
        lines.append("")
    return markdown.replace(LINKS, "\n".join(lines))
