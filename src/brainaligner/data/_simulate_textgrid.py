"""TextGrids of simulated stories, in each of Praat's three text serialisations."""

from __future__ import annotations

from collections.abc import Iterator

from brainaligner.core import Transcript

Interval = tuple[float, float, str]
Tier = tuple[str, list[Interval]]

_MARKERS = ("{BR}", "sp", "{LG}", "", "{NS}", "{CG}")
_SHORTEST_MARKED_PAUSE = 0.1
_VOWELS = {"a": "AE1", "e": "EH1", "i": "IH1", "o": "OW1", "u": "AH1"}


def textgrid_bytes(transcript: Transcript, *, serialisation: str, encoding: str) -> bytes:
    """Content of a TextGrid with a phone tier and a word tier, as ds003020 has them.

    Words are in upper case; pauses carry markers such as ``{BR}`` or ``sp``, or an empty
    label. Phones stand in for real ones: one per letter, of equal length.

    Parameters
    ----------
    transcript : Transcript
        Words that do not overlap.
    serialisation : {"long", "short", "chronological"}
        Praat's "text file", "short text file" and "chronological text file" (Praat manual,
        "TextGrid file formats").
    encoding : str
        A Python codec; ``"utf-16"`` writes a byte-order mark.
    """
    words = _word_intervals(transcript)
    phones = [phone for word in words for phone in _phone_intervals(word)]
    text = SERIALISATIONS[serialisation]([("phone", phones), ("word", words)])
    return text.encode(encoding)


def _word_intervals(transcript: Transcript) -> list[Interval]:
    intervals: list[Interval] = []
    now, pauses = 0.0, 0
    for word, onset, offset in zip(
        transcript.words, transcript.onsets.tolist(), transcript.offsets.tolist(), strict=True
    ):
        if onset > now:
            marked = onset - now >= _SHORTEST_MARKED_PAUSE
            intervals.append((now, onset, _MARKERS[pauses % len(_MARKERS)] if marked else ""))
            pauses += marked
        intervals.append((onset, offset, word.upper()))
        now = offset
    return [*intervals, (now, now + 0.5, "sp")]


def _phone_intervals(word: Interval) -> Iterator[Interval]:
    start, stop, label = word
    is_pause = label in _MARKERS
    phones = ["sp"] if is_pause else [_VOWELS.get(c, c.upper()) for c in label.lower()]
    edges = [start + (stop - start) * i / len(phones) for i in range(len(phones))] + [stop]
    yield from zip(edges[:-1], edges[1:], phones, strict=True)


def _quoted(label: str) -> str:
    return '"' + label.replace('"', '""') + '"'


def _end(tiers: list[Tier]) -> float:
    return tiers[0][1][-1][1]


def _long(tiers: list[Tier]) -> str:
    span = f"xmin = 0\nxmax = {_end(tiers)!r}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", span]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers, start=1):
        lines += [f"item [{number}]:", 'class = "IntervalTier"', f"name = {_quoted(name)}", span]
        lines.append(f"intervals: size = {len(intervals)}")
        for i, (start, stop, label) in enumerate(intervals, start=1):
            lines += [f"intervals [{i}]:", f"xmin = {start!r}", f"xmax = {stop!r}"]
            lines.append(f"text = {_quoted(label)}")
    return "\n".join(lines) + "\n"


def _short(tiers: list[Tier]) -> str:
    span = f"0\n{_end(tiers)!r}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", span, "<exists>"]
    lines.append(str(len(tiers)))
    for name, intervals in tiers:
        lines += ['"IntervalTier"', _quoted(name), span, str(len(intervals))]
        for start, stop, label in intervals:
            lines += [repr(start), repr(stop), _quoted(label)]
    return "\n".join(lines) + "\n"


def _chronological(tiers: list[Tier]) -> str:
    end = repr(_end(tiers))
    lines = ['"Praat chronological TextGrid text file"', f"0 {end}   ! Time domain."]
    lines.append(f"{len(tiers)}   ! Number of tiers.")
    lines += [f'"IntervalTier" {_quoted(name)} 0 {end}' for name, _ in tiers]
    rows = [
        (start, number, stop, label)
        for number, (_, intervals) in enumerate(tiers, start=1)
        for start, stop, label in intervals
    ]
    for start, number, stop, label in sorted(rows):
        lines += ["", f"{number} {start!r} {stop!r}", _quoted(label)]
    return "\n".join(lines) + "\n"


SERIALISATIONS = {"long": _long, "short": _short, "chronological": _chronological}
