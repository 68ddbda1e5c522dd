"""Which stories are scored together, and their rows put in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Piece, Split, StoryGroup, WithinStorySplit, unknown_name

KINDS = {True: "repeated", False: "single"}


def story_groups(
    split: Split | WithinStorySplit, presentations: Mapping[str, int]
) -> tuple[StoryGroup, ...]:
    """Groups of test stories; single-presentation and repeated ones are never mixed.

    Parameters
    ----------
    split : Split or WithinStorySplit
    presentations : mapping of story to int
        How many presentations each story's responses average.

    Returns
    -------
    tuple of StoryGroup
        ``"test"``: all single-presentation test stories. Then each repeated story as a
        group of its own, under its name. A within-story split gives its one story.

    Raises
    ------
    InputError
        If a test story has no number of presentations, or one under 1.
    """
    if isinstance(split, WithinStorySplit):
        repeated = is_repeated(split.story, presentations)
        return (StoryGroup(split.story, (split.story,), KINDS[repeated]),)
    tested = split.test + split.test_repeated
    single = tuple(story for story in tested if not is_repeated(story, presentations))
    groups = [StoryGroup("test", single)] if single else []
    groups += [StoryGroup(story, (story,), "repeated") for story in tested if story not in single]
    return tuple(groups)


def is_repeated(story: str, presentations: Mapping[str, int]) -> bool:
    """Whether a story's responses average more than one presentation."""
    if story not in presentations:
        raise unknown_name("presentations", "story", story, presentations)
    if presentations[story] < 1:
        raise InputError(
            "presentations",
            got=f"{presentations[story]} of story {story!r}",
            wanted="1 or more",
            do="Say how many presentations its responses average.",
        )
    return presentations[story] > 1


def check_group(group: StoryGroup, presentations: Mapping[str, int]) -> None:
    """Refuse a group in which single-presentation and repeated stories are mixed.

    Raises
    ------
    InputError
        Also if a story has no number of presentations.
    """
    wrong = [
        story
        for story in group.stories
        if KINDS[is_repeated(story, presentations)] != group.presentations
    ]
    if wrong:
        raise InputError(
            f"story group {group.name!r}",
            got=f"story {wrong[0]!r} with {presentations[wrong[0]]} presentations",
            wanted=f"{group.presentations} stories only",
            do="Score single-presentation and repeated stories apart, as story_groups does.",
        )


def join_pieces(
    pieces: Sequence[Piece], values: Sequence[Float[np.ndarray, "_time _target"]]
) -> dict[str, Float[np.ndarray, "_time _target"]]:
    """Rows of each story, put end to end in the order of the story.

    The folds of a within-story split each predict one piece. Rows that lie between pieces
    were never scored and leave no hole: shifts, blocks and cuts work on the joined rows,
    so the ends that a cut drops are those of the story's scored rows.

    Parameters
    ----------
    pieces : sequence of Piece
    values : sequence of float arrays, shape (time, target)
        Predictions, or responses, of each piece.

    Returns
    -------
    dict of story to float array, shape (time, target)

    Raises
    ------
    InputError
        If pieces overlap, or have another number of rows or targets than their values.
    """
    if len(pieces) != len(values):
        raise InputError(
            "pieces",
            got=f"{len(pieces)} pieces and {len(values)} arrays",
            wanted="one array for each piece",
            do="Give the arrays in the order of the pieces.",
        )
    by_story: dict[str, list[tuple[int, int, np.ndarray]]] = {}
    for piece, rows in zip(pieces, values, strict=True):
        _check_piece(piece, rows)
        place = (piece.start, piece.start + len(rows), rows)
        by_story.setdefault(piece.story, []).append(place)
    return {story: _joined(story, places) for story, places in by_story.items()}


def _check_piece(piece: Piece, rows: np.ndarray) -> None:
    wanted = len(rows) if piece.stop is None else piece.stop - piece.start
    if rows.ndim != 2 or len(rows) != wanted or wanted < 1:
        raise InputError(
            f"piece of {piece.story!r} from row {piece.start} to {piece.stop}",
            got=f"values of shape {rows.shape}",
            wanted=f"({wanted}, target), at least one row",
            do="Predict each row of the piece.",
        )


def _joined(story: str, places: list[tuple[int, int, np.ndarray]]) -> np.ndarray:
    ordered = sorted(places, key=lambda place: place[0])
    for (start, stop, left), (later, _, right) in pairwise(ordered):
        if later < stop or left.shape[1] != right.shape[1]:
            raise InputError(
                f"pieces of {story!r}",
                got=f"rows {start} to {stop} of {left.shape[1]} targets, "
                f"then row {later} on of {right.shape[1]}",
                wanted="pieces without common rows, all of the same targets",
                do="Score each row once.",
            )
    rows = [values for _, _, values in ordered]
    return rows[0] if len(rows) == 1 else np.concatenate(rows)
