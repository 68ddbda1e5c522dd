"""Fenced blocks of all documents, in the order in which a reader meets them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "README.ja.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
SHELLS = ("bash", "sh", "console")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its document, the line of its fence, its language and its text."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Words of each command of a shell block; comments are left out."""
        if self.language not in SHELLS:
            return ()
        lines = self.text.replace("\\\n", " ").splitlines()
        found = (tuple(shlex.split(line, comments=True)) for line in lines)
        return tuple(words for words in found if words)


def blocks_of(document: Path) -> tuple[Block, ...]:
    """All blocks of one document."""
    text = document.read_text(encoding="utf-8")
    return tuple(
        Block(document.name, text[: one.start()].count("\n") + 1, one[2], dedent(one[3]))
        for one in _FENCE.finditer(text)
    )


def all_blocks() -> tuple[Block, ...]:
    """All blocks of all documents."""
    return tuple(block for document in DOCUMENTS for block in blocks_of(document))
