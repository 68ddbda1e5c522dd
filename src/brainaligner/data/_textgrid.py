"""Praat TextGrids in their three text forms.

A Praat text file is a stream of free-standing numbers, quoted strings (``""`` stands for a
quote) and ``<flags>``; everything else is comment, and so is ``!`` to the end of its line.
This one rule reads the long form, the short form and the chronological form. Source: the
Praat manual, "TextGrid file formats", https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from brainaligner.core import InputError
from brainaligner.data._files import decode_text, read_bytes

CHRONOLOGICAL = "Praat chronological TextGrid text file"
FILE_TYPES = ("ooTextFile", "ooTextFile short", "OldooTextFile")
TIER_CLASSES = ("IntervalTier", "TextTier")

_WANTED = "a complete Praat TextGrid text file"
_MOST_DIGITS = 18
_TOKEN = re.compile(
    r'"(?P<string>[^"]*(?:""[^"]*)*)"(?!\S)'
    r"|<(?P<flag>[^>\s]*)>(?!\S)"
    r"|(?P<number>[-+\d]\S*)"
    r"|(?P<comment>![^\r\n]*)"
    r"|(?P<word>\S+)"
)


@dataclass(frozen=True)
class Interval:
    """A labelled stretch of time, in seconds; a point has ``start == end``."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Tier:
    """One tier of a TextGrid: ``xmin`` to ``xmax`` in seconds, intervals in file order."""

    name: str
    xmin: float
    xmax: float
    intervals: tuple[Interval, ...]
    is_points: bool = False


class _Tokens:
    """The free-standing numbers, strings and flags of one file, in order."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self._text = path, text
        self._matches = self._meaningful(text)

    def _meaningful(self, text: str) -> Iterator[re.Match[str]]:
        for match in _TOKEN.finditer(text):
            if match.lastgroup == "word" and match[0].startswith('"'):
                self.fail("a quoted text that does not end properly", match)
            if match.lastgroup not in ("word", "comment"):
                yield match

    def fail(self, got: str, match: re.Match[str] | None = None) -> NoReturn:
        line = self._text.count("\n", 0, match.start()) + 1 if match else None
        raise InputError(
            str(self.path),
            got=got + (f" (line {line})" if line else ""),
            wanted=_WANTED,
            do="Export the TextGrid from Praat again, or download it again.",
        )

    def _next(self, kind: str) -> re.Match[str]:
        match = next(self._matches, None)
        if match is None:
            self.fail(f"the end of the file where a {kind} should stand")
        if match.lastgroup != kind:
            self.fail(f"{match[0][:40]} where a {kind} should stand", match)
        return match

    def string(self) -> str:
        return self._next("string")["string"].replace('""', '"')

    def flag(self) -> str:
        return self._next("flag")["flag"]

    def number(self) -> float:
        match = self._next("number")
        try:
            value = float(match[0])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(f"{match[0][:40]} where a number should stand", match)
        return value

    def count(self) -> int:
        value = self.number()
        if value < 0 or value != int(value):
            self.fail(f"{value} where a count should stand")
        return int(value)

    def interval(self, *, point: bool = False) -> Interval:
        start = self.number()
        end = start if point else self.number()
        label = self.string()
        if end < start:
            self.fail(f"an interval from {start} to {end} s, labelled {label!r}")
        return Interval(start, end, label)

    def next_index(self) -> int | None:
        """Return the tier that the next entry belongs to, or None at the end of the file."""
        match = next(self._matches, None)
        if match is None:
            return None
        digits = match.lastgroup == "number" and match[0].isdecimal()
        if not digits or len(match[0]) > _MOST_DIGITS:
            self.fail(f"{match[0][:40]} where a tier's number should stand", match)
        return int(match[0])

    def check_end(self) -> None:
        match = next(self._matches, None)
        if match is not None:
            self.fail("more intervals or tiers than the file announces", match)


def read_textgrid(path: Path) -> tuple[Tier, ...]:
    """Read all tiers of a TextGrid: long, short or chronological, UTF-8, UTF-16 or Latin-1.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of Tier
        In the order of the file. A point tier's points are intervals without length.

    Raises
    ------
    InputError
        If the file is missing, empty, no TextGrid, or cut short: fewer intervals than
        announced, or (chronological form, which announces none) an interval tier that does
        not reach its end.
    """
    tokens = _Tokens(path, decode_text(path, read_bytes(path, _WANTED)))
    header = tokens.string()
    if header == CHRONOLOGICAL:
        return _read_chronological(tokens)
    if header not in FILE_TYPES or tokens.string().split(" ")[0] != "TextGrid":
        tokens.fail("another kind of file")
    return _read_tier_by_tier(tokens)


def _read_tier_by_tier(tokens: _Tokens) -> tuple[Tier, ...]:
    tokens.number(), tokens.number()
    n_tiers = tokens.count() if tokens.flag() == "exists" else 0
    tiers = tuple(_read_tier(tokens) for _ in range(n_tiers))
    tokens.check_end()
    return tiers


def _read_head(tokens: _Tokens) -> Tier:
    kind = tokens.string()
    if kind not in TIER_CLASSES:
        tokens.fail(f"a tier of class {kind!r}")
    return Tier(tokens.string(), tokens.number(), tokens.number(), (), kind == "TextTier")


def _read_tier(tokens: _Tokens) -> Tier:
    head = _read_head(tokens)
    intervals = [tokens.interval(point=head.is_points) for _ in range(tokens.count())]
    return Tier(head.name, head.xmin, head.xmax, tuple(intervals), head.is_points)


def _read_chronological(tokens: _Tokens) -> tuple[Tier, ...]:
    tokens.number(), tokens.number()
    heads = [_read_head(tokens) for _ in range(tokens.count())]
    found: list[list[Interval]] = [[] for _ in heads]
    while (index := tokens.next_index()) is not None:
        if not 1 <= index <= len(heads):
            tokens.fail(f"an entry of tier {index} among {len(heads)} tiers")
        found[index - 1].append(tokens.interval(point=heads[index - 1].is_points))
    for head, intervals in zip(heads, found, strict=True):
        reached = intervals[-1].end if intervals else head.xmin
        if not head.is_points and reached < head.xmax - 1e-6:
            tokens.fail(f"tier {head.name!r} only up to {reached} s of its {head.xmax} s")
    return tuple(
        Tier(head.name, head.xmin, head.xmax, tuple(intervals), head.is_points)
        for head, intervals in zip(heads, found, strict=True)
    )
