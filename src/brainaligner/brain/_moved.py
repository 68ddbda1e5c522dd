"""Vectors that belong to another time or another subject: controls for every encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from brainaligner.brain._material import BrainVectors
from brainaligner.brain._reading import labelled_seed
from brainaligner.core import InputError, unknown_name


def shift_in_time(vectors: BrainVectors, *, min_shift: int, seed: int) -> BrainVectors:
    """Move each story's vectors circularly by a random number of rows.

    Rows keep their values and their autocorrelation and lose their tie to the words. The
    number is drawn for each story by `seed`, the subject and the story's name, evenly among
    those that are at least `min_shift` rows away in both directions; a story of fewer than
    ``2 min_shift + 10`` rows moves by at least a third.

    Parameters
    ----------
    vectors : BrainVectors
    min_shift : int
        In rows (TRs).
    seed : int

    Returns
    -------
    BrainVectors
        The provenance says so in `facts`.

    Raises
    ------
    InputError
        If a story has fewer than three rows, or `min_shift` is under 1.
    """
    moves = {story: _drawn_shift(vectors, story, min_shift, seed) for story in sorted(vectors.rows)}
    rows = {story: np.roll(values, moves[story], axis=0) for story, values in vectors.rows.items()}
    words = f"circularly, {min(moves.values())} to {max(moves.values())} rows"
    facts = {**vectors.provenance.facts, "moved in time": words}
    return BrainVectors(rows, replace(vectors.provenance, facts=facts))


def _drawn_shift(vectors: BrainVectors, story: str, min_shift: int, seed: int) -> int:
    from brainaligner.evaluation import draw_shifts

    own = labelled_seed(seed, "shift", vectors.provenance.subject, story)
    n_rows = len(vectors.rows[story])
    return int(draw_shifts([n_rows], n_draws=1, min_shift=min_shift, seed=own)[0, 0])


def borrow(vectors: BrainVectors, rows: Mapping[str, int], subject: str) -> BrainVectors:
    """Fit another subject's vectors to the row counts of `subject`.

    Rows beyond the wanted ones are cut off at the end; missing ones are zeros at the end.

    Parameters
    ----------
    vectors : BrainVectors
        Of another subject, who heard the same stories.
    rows : mapping of story to int
        Rows (TRs) of each story in `subject`: the stories that are given back.
    subject : str
        Who borrows. The provenance goes on naming whose responses went in, and says in
        `facts` who borrowed them and how many rows were cut and added.

    Raises
    ------
    InputError
        If a story is missing, a number of rows is under 1, or both subjects are the same.
    """
    lender = vectors.provenance.subject
    where = f"brain vectors of {lender} for {subject}"
    if lender == subject or not rows or min(rows.values()) < 1:
        raise InputError(
            where,
            got=f"{len(rows)} stories of {dict(rows)} rows"[:200],
            wanted="another subject, and at least one story with one row or more",
            do="Name the subject that borrows, with its own stories.",
        )
    for story in rows:
        if story not in vectors.rows:
            raise unknown_name(where, "story", story, vectors.rows)
    fitted = {story: _with_rows(vectors.rows[story], n) for story, n in rows.items()}
    away = {story: len(vectors.rows[story]) - n for story, n in rows.items()}
    facts = {
        **vectors.provenance.facts,
        "borrowed for": subject,
        "rows cut": float(sum(max(0, n) for n in away.values())),
        "rows of zeros": float(sum(max(0, -n) for n in away.values())),
    }
    return BrainVectors(fitted, replace(vectors.provenance, facts=facts))


def _with_rows(
    values: Float32[np.ndarray, "_ width"], n_rows: int
) -> Float32[np.ndarray, "_ width"]:
    kept = values[:n_rows]
    return np.pad(kept, ((0, n_rows - len(kept)), (0, 0)))
