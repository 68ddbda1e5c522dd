"""What the aligner learns from: the texts of stories, and brain vectors of the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from brainaligner.core import InputError, frozen_array
from brainaligner.text import RowText

LEAST_SHIFT = 40
"""Rows by which shifted brain vectors are at least off, either way."""

StoryVectors = Mapping[str, Float32[np.ndarray, "time width"]]


@dataclass(frozen=True, eq=False)
class AlignerMaterial:
    """Texts of some stories, one per TR, and the brain vectors beside them.

    One example is one TR with words. TRs without words are left out.

    Parameters
    ----------
    texts : mapping of story to its row texts
        As `brainaligner.text.row_texts` gives them; context may be inside.
    brain : mapping of story to float32 array, shape (time, width), or None
        As `brainaligner.brain.BrainVectors.rows` has them, for at least these stories. None is
        text alone: the stimulus-tuned control.

    Raises
    ------
    InputError
        If there is no story or no words at all, or brain vectors lack a story, differ from the
        texts in rows or from each other in width, or are not finite.
    """

    texts: Mapping[str, Sequence[RowText]]
    brain: StoryVectors | None = None

    def __post_init__(self) -> None:
        texts = {story: tuple(rows) for story, rows in self.texts.items()}
        object.__setattr__(self, "texts", texts)
        if not any(text.own for rows in texts.values() for text in rows):
            raise InputError(
                "aligner material",
                got=f"{len(texts)} stories without a word",
                wanted="at least one row with words",
                do="Give stories with transcripts.",
            )
        if self.brain is not None:
            object.__setattr__(self, "brain", _checked_vectors(texts, self.brain))

    @property
    def brain_width(self) -> int | None:
        """Numbers per brain vector; None for text alone."""
        return None if self.brain is None else next(iter(self.brain.values())).shape[1]


def shift_brain(brain: StoryVectors, *, seed: int) -> dict[str, Float32[np.ndarray, "time width"]]:
    """Move each story's vectors circularly by a number of rows drawn from 40 to time - 40.

    That breaks the tie between words and brain and keeps everything else. What is drawn depends
    on the seed and on the story's name alone.

    Raises
    ------
    InputError
        If a story has fewer than 80 rows.
    """
    return {story: _shifted(story, values, seed) for story, values in brain.items()}


def _shifted(story: str, values: np.ndarray, seed: int) -> np.ndarray:
    n_rows = len(values)
    if n_rows < 2 * LEAST_SHIFT:
        raise InputError(
            f"shifted brain vectors of story {story!r}",
            got=f"{n_rows} rows",
            wanted=f"at least {2 * LEAST_SHIFT}, so that a shift of {LEAST_SHIFT} rows exists",
            do="Leave this story out.",
        )
    rng = np.random.default_rng([seed, *story.encode()])
    by = int(rng.integers(LEAST_SHIFT, n_rows - LEAST_SHIFT + 1))
    return np.roll(values, by, axis=0)


def _checked_vectors(
    texts: Mapping[str, Sequence[RowText]], brain: StoryVectors
) -> dict[str, np.ndarray]:
    """The vectors of the stories that have texts, read-only."""
    missing = sorted(set(texts) - set(brain))
    kept = {story: brain[story] for story in texts if story in brain}
    widths = {values.shape[1] for values in kept.values()}
    if missing or len(widths) != 1 or 0 in widths:
        raise InputError(
            "aligner material: brain",
            got=f"widths {sorted(widths)}, none for {missing[:3]}",
            wanted="vectors of one width for every story that has texts",
            do="Encode all stories with the same brain encoder.",
        )
    for story, values in kept.items():
        if len(values) != len(texts[story]) or not np.isfinite(values).all():
            raise InputError(
                f"aligner material: brain, story {story!r}",
                got=f"{len(values)} rows" + ("" if np.isfinite(values).all() else ", not finite"),
                wanted=f"{len(texts[story])} finite rows, one per row of text",
                do="Give texts and brain vectors of the same rows.",
            )
    return {story: frozen_array(values) for story, values in kept.items()}
