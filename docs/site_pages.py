"""Pages of the site that are not written by hand, and links that lead out of docs/.

mkdocs calls `on_files` and `on_page_markdown`. Files beside README.md become pages, so that a link
between documents leads to the same text here as where the files themselves are read.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {
    "README.md": "index.md",
    "README.ja.md": "index.ja.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "GLOSSARY.md": "glossary.md",
    "LOG.md": "log.md",
}
ROOMS = ("core", "data", "text", "encoding", "evaluation", "brain", "aligner", "report", "study")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_COLUMNS = 80


def on_files(files: Any, *, config: Any) -> Any:
    """Add the made pages to those under docs/."""
    from mkdocs.structure.files import File

    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead links to files beside README.md to their pages."""
    return site_links(markdown, page.file.src_uri)


def made_pages() -> dict[str, str]:
    """Give all pages that are made, by their place on the site."""
    pages = {at: (ROOT / name).read_text(encoding="utf-8") for name, at in BESIDE.items()}
    pages |= {f"api/{room}.md": room_page(room) for room in ROOMS}
    return pages | {"commands.md": commands_page(), "citing.md": citing_page()}


def site_links(markdown: str, src_uri: str) -> str:
    """Turn links between files of the repository into links between pages."""
    names = {at: name for name, at in BESIDE.items()}
    source = names.get(src_uri, f"docs/{src_uri}")

    def turned(found: re.Match[str]) -> str:
        wanted = normpath(f"{dirname(source)}/{found[1]}".lstrip("/"))
        at = BESIDE.get(wanted, wanted.removeprefix("docs/"))
        return f"]({relpath(at, dirname(src_uri) or '.')}{found[2] or ''})"

    return _LINK.sub(turned, markdown)


def room_page(room: str) -> str:
    """Public names of a room, with their docstrings."""
    module = import_module(f"brainaligner.{room}")
    names = "".join(f"          - {name}\n" for name in module.__all__)
    return (
        f"# brainaligner.{room}\n\n::: brainaligner.{room}\n    options:\n        members:\n{names}"
    )


def commands_page() -> str:
    """What ``--help`` of each command prints."""
    from typer.main import get_command

    from brainaligner.study import app

    parts = ["# Command line\n\nEvery command, as its `--help` says it.\n"]
    for name, command in _commands(get_command(app), "brainaligner"):
        said = command.get_help(_context(command, name))
        parts.append(f"## {name}\n\n```text\n{said.rstrip()}\n```\n")
    return "\n".join(parts)


def _context(command: click.Command, name: str) -> click.Context:
    made = command.make_context(name, [], resilient_parsing=True)
    made.terminal_width = made.max_content_width = _COLUMNS
    return made


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {part}")


def citing_page() -> str:
    """How to cite, from CITATION.cff."""
    written = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return (
        "# How to cite\n\nCite the software by its `CITATION.cff`, which reference managers read, "
        "and the data, models and methods by the references that each run writes into "
        f"`methods.md` and at the end of its page.\n\n```yaml\n{written.rstrip()}\n```\n"
    )
