"""Designs as they entered, against designs made again from features and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from brainaligner.evaluation._audit import Fault
from brainaligner.evaluation._audit_kinds import (
    follows,
    is_pooled,
    moved_by,
    order_kind,
    same_rows,
)
from brainaligner.evaluation._audit_rows import Entered, Series

_BRAIN_SHARE = 0.3
_ALIKE = 0.95
_EDGE = 12  # rows at a story's ends that delays may reach


@dataclass(frozen=True, eq=False)
class MadeAgain:
    """What designs should be.

    Parameters
    ----------
    stories : mapping of story to array, shape (time, column)
        Whole stories at the columns that witnesses keep.
    responses : mapping of story to array, shape (time, target)
    delays : tuple of int
        Rows at a story's start (and end, for negative ones) that hold zeros.
    unscaled : mapping of story to array, shape (time, column)
        The same designs before any scaling; empty where that is not known.
    """

    stories: Mapping[str, Series]
    responses: Mapping[str, Series]
    delays: tuple[int, ...] = (0,)
    unscaled: Mapping[str, Series] = field(default_factory=dict)


def design_faults(
    entered: Sequence[Entered], made: MadeAgain, *, where: str, tolerance: float = 1e-4
) -> Iterator[Fault]:
    """Compare each design with the one made again; say what happened to those that differ."""
    strange: list[tuple[Entered, Series]] = []
    for one in entered:
        whole = made.stories.get(one.story)
        expected = None if whole is None else whole[one.start : one.start + len(one.values)]
        if expected is None or not same_rows(one.values, expected, tolerance=tolerance):
            strange.append((one, np.empty((0, 0)) if expected is None else expected))
    if not strange:
        return
    if _pooled(strange, made):
        yield _fault(
            "pooled-scaling",
            where,
            strange[0][0],
            f"{len(strange)} designs",
            "features are scaled by statistics of training and test rows together",
        )
        return
    for one, expected in strange:
        yield _explained(one, expected, made, where)


def _pooled(strange: Sequence[tuple[Entered, Series]], made: MadeAgain) -> bool:
    sides: dict[bool, list[tuple[Series, Series]]] = {True: [], False: []}
    for one, _ in strange:
        raw = made.unscaled.get(one.story)
        if raw is None:
            return False
        rows = raw[one.start : one.start + len(one.values)]
        sides[one.role.startswith("fit/")].append((one.values, rows))
    return is_pooled(sides[True], sides[False], edge=_EDGE)


def _explained(one: Entered, expected: Series, made: MadeAgain, where: str) -> Fault:
    values = one.values
    if values.shape != expected.shape:
        return _fault(
            "features-not-reproduced",
            where,
            one,
            f"shape {values.shape}",
            f"a design of shape {expected.shape} follows from words and features",
        )
    if _only_at_edges(values, expected, made.delays):
        return _fault(
            "delays-across-stories",
            where,
            one,
            f"{max(made.delays)} rows",
            "rows before the story's start are not zeros",
        )
    moved = moved_by(values, expected)
    if moved.rows and moved.r > _ALIKE:
        return _fault(
            "features-shifted",
            where,
            one,
            f"{moved.rows:+d} TRs",
            "features are moved against the words",
        )
    kind = order_kind(values, one.story, made.stories)
    if kind in ("shuffled-rows", "random-chunks"):
        return _fault(kind, where, one, f"{len(values)} rows", "rows are in another order")
    other = _other_story(values, one, made.stories)
    if other:
        return _fault("features-other-story", where, one, other, f"features are those of {other}")
    rows = made.responses.get(one.story)
    if rows is not None:
        share = follows(values - expected, rows[one.start : one.start + len(values)])
        if share > _BRAIN_SHARE:
            return _fault(
                "brain-at-evaluation",
                where,
                one,
                f"{share:.0%} explained",
                "what was added to the features follows the responses",
            )
    return _fault(
        "features-not-reproduced",
        where,
        one,
        f"median r {moved.r:.3f}",
        "the design does not follow from words and features",
    )


def _only_at_edges(values: Series, expected: Series, delays: Sequence[int]) -> bool:
    first, last = max(0, *delays), max(0, *(-d for d in delays))
    inner = slice(first, len(values) - last)
    if first + last == 0 or len(values) <= first + last:
        return False
    return same_rows(values[inner], expected[inner], tolerance=1e-4)


def _other_story(values: Series, one: Entered, stories: Mapping[str, Series]) -> str:
    for name, rows in stories.items():
        n = min(len(rows) - one.start, len(values))
        if name != one.story and n > len(values) // 2:
            theirs = rows[one.start : one.start + n]
            if theirs.shape[1] == values.shape[1] and moved_by(values[:n], theirs).r > _ALIKE:
                return name
    return ""


def _fault(name: str, where: str, one: Entered, figure: str, said: str) -> Fault:
    return Fault(name, f"{where}, {one.story} ({one.role.split('/')[0]})", figure, said)
