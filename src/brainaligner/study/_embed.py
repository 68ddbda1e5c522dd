"""Vectors of a language model for sentences, or for each TR of spoken words; no brain enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from brainaligner.core import InputError, Transcript
from brainaligner.study._embed_input import doubts, read_text_input, rows_needed
from brainaligner.study._embed_reading import (
    EmbedSettings,
    Reading,
    refuse_row_settings,
    text_reading,
)
from brainaligner.study._options import RunOptions
from brainaligner.study._progress import reporting
from brainaligner.study._settings import plain
from brainaligner.text import (
    LanguageModel,
    RowText,
    load_language_model,
    row_states,
    rows_from_states,
    story_texts,
    token_rows,
)

LINES = "lines"


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Vectors of one input.

    Parameters
    ----------
    vectors : mapping of str to float32 array, shape (row, width)
        By story; of plain text under the one name ``"lines"``.
    times : mapping of str to float64 array, shape (row,)
        Centre of each row in seconds from the start of the sound; empty for plain text.
    about : mapping
        Plain values: model, settings, clock.
    notes : tuple of str
        What a reader should know of this text.
    not_valid : str, optional
        Stamp of an exported model whose run failed its audit.
    """

    vectors: Mapping[str, Float32[np.ndarray, "row width"]]
    times: Mapping[str, Float64[np.ndarray, "row"]]
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    not_valid: str | None = None


def embed_text(
    model: str, given: Path, settings: EmbedSettings | None = None, *, options: RunOptions
) -> TextVectors:
    """Read a text with a language model: one vector per line, or per TR of timed words.

    Parameters
    ----------
    model : str
        A folder, such as one that `export_models` wrote, ``"embedded"`` or a name on the hub.
    given : Path
        A text file with one sentence per line; or timed words: a word table (csv, tsv) or a
        TextGrid.
    settings : EmbedSettings, optional
    options : RunOptions
        ``device`` and ``batch_tokens`` are used.

    Returns
    -------
    TextVectors

    Raises
    ------
    InputError
        For whatever can be refused, before the model is loaded.
    """
    settings = settings or EmbedSettings()
    text = read_text_input(given)
    reading = text_reading(model, settings, lines=text.lines is not None)
    if text.lines is not None:
        refuse_row_settings(given, settings)
    rows = {s: settings.rows or _rows(t, reading) for s, t in text.transcripts.items()}
    options.activate()
    loaded = load_language_model(model, device=options.device, dtype=reading.text.dtype)
    if text.lines is not None:
        return _of_lines(given, text.lines, loaded, reading, options)
    return _of_transcripts(text.transcripts, rows, loaded, reading, options)


def _rows(transcript: Transcript, reading: Reading) -> int:
    return rows_needed(transcript, reading.clock, shift=reading.text.shift)


def _of_lines(
    given: Path,
    lines: Sequence[str],
    model: LanguageModel,
    reading: Reading,
    options: RunOptions,
) -> TextVectors:
    texts = [RowText((), (line,)) for line in lines]
    tokens = token_rows(model, texts, settings=reading.text)
    unread = next((i for i, row in enumerate(tokens, 1) if not row.weights.any()), None)
    if unread is not None:
        raise InputError(
            f"{given}, line {unread}",
            got=f"{lines[unread - 1][:40]!r}, of which the tokenizer leaves nothing",
            wanted="text that the model can read",
            do="Correct or remove that line.",
        )
    states = _states(model, {LINES: texts}, reading, options)
    return TextVectors(
        states, {}, _about(reading), _shortened(model, lines, tokens), reading.not_valid
    )


def _shortened(
    model: LanguageModel, lines: Sequence[str], tokens: Sequence[Any]
) -> tuple[str, ...]:
    whole = model.tokenizer(list(lines), add_special_tokens=True, verbose=False)["input_ids"]
    cut = sum(len(ids) > len(row.ids) for ids, row in zip(whole, tokens, strict=True))
    said = (
        f"{cut} lines are longer than the model or max_tokens takes: their beginnings are left out"
    )
    return (said,) * (cut > 0)


def _of_transcripts(
    transcripts: Mapping[str, Transcript],
    rows: Mapping[str, int],
    model: LanguageModel,
    reading: Reading,
    options: RunOptions,
) -> TextVectors:
    clock, settings = reading.clock, reading.text
    texts = {
        story: story_texts(transcript, clock, rows[story], settings=settings)
        for story, transcript in transcripts.items()
    }
    states = _states(model, texts, reading, options)
    vectors = {
        story: rows_from_states(states[story], transcript, clock, rows[story], settings=settings)
        for story, transcript in transcripts.items()
    }
    times = {story: clock.centres(n_rows) for story, n_rows in rows.items()}
    doubtful = doubts(transcripts, rows, clock, shift=settings.shift)
    notes = (*_outside(transcripts, rows, reading), *doubtful)
    about = _about(reading) | {"clock": plain(clock)}
    return TextVectors(vectors, times, about, notes, reading.not_valid)


def _states(
    model: LanguageModel,
    texts: Mapping[str, Sequence[RowText]],
    reading: Reading,
    options: RunOptions,
) -> dict[str, np.ndarray]:
    with reporting() as reporter:
        found = row_states(
            model,
            texts,
            [reading.text.layer],
            settings=reading.text,
            batch_tokens=options.batch_tokens,
            progress=reporter,
        )
    return found[reading.text.layer]


def _outside(
    transcripts: Mapping[str, Transcript], rows: Mapping[str, int], reading: Reading
) -> list[str]:
    """How many words belong to no row: before the first, they are context at most."""
    shift, before, after = reading.text.shift, 0, 0
    for story, transcript in transcripts.items():
        at = reading.clock.row_of(transcript.onsets, shift=shift)
        before += int((at < 0).sum())
        after += int((at >= rows[story]).sum())
    words = {"before the first row: left context at most": before, "after the last row": after}
    return [f"{count} words are {where}" for where, count in words.items() if count]


def _about(reading: Reading) -> dict[str, Any]:
    info = reading.info
    return {
        "text": plain(reading.text),
        "width": info.width,
        "n_layers": info.n_layers,
    }
