"""Responses as they entered, against the dataset read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from brainaligner.evaluation._audit import Fault, Unproven
from brainaligner.evaluation._audit_kinds import (
    is_affine,
    is_pooled,
    mixed_with,
    order_kind,
    same_rows,
    shown_columns,
)
from brainaligner.evaluation._audit_rows import (
    FEWEST_EQUAL,
    Entered,
    RowPlaces,
    Series,
    fewest_near,
    near_rows,
)

SIDES = {"fit": "test-rows-in-fit", "choose": "chosen-on-test"}


@dataclass(frozen=True, eq=False)
class ReadAgain:
    """What a dataset holds, read for the audit, at the columns that witnesses keep.

    Parameters
    ----------
    subject : str
    stories : mapping of story to array, shape (time, column)
    others : mapping of subject to the same
    repeated : collection of stories whose responses average several presentations
    """

    subject: str
    stories: Mapping[str, Series]
    others: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()


def entered_faults(
    entered: Sequence[Entered], dataset: ReadAgain, *, where: str
) -> Iterator[Fault]:
    """Compare each piece with the dataset; say what happened to those that differ.

    Parameters
    ----------
    entered : sequence of Entered
        Responses in any roles.
    dataset : ReadAgain
    where : str
    """
    strange: list[tuple[Entered, Series, Series]] = []
    for one in entered:
        story = dataset.stories.get(one.story)
        columns = shown_columns(one.values)
        if story is None:
            yield _fault("lineage-differs", where, one, "no such story", "is not in the dataset")
            continue
        expected = story[one.start : one.start + len(one.values), columns]
        if not same_rows(one.values[:, columns], expected):
            strange.append((one, one.values[:, columns], expected))
    sides = [
        [(rows, expected) for one, rows, expected in strange if one.role.startswith("fit/") == fit]
        for fit in (True, False)
    ]
    if is_pooled(*sides):
        one = strange[0][0]
        yield _fault(
            "pooled-scaling",
            where,
            one,
            f"{len(strange)} pieces",
            "responses are scaled by statistics of training and test rows together",
        )
        return
    for one, values, expected in strange:
        yield _explained(one, (values, expected), dataset, where)


def _explained(one: Entered, pair: tuple[Series, Series], dataset: ReadAgain, where: str) -> Fault:
    values, expected = pair
    columns = shown_columns(one.values)
    known = {name: rows[:, columns] for name, rows in dataset.stories.items()}
    kind = order_kind(values, one.story, known)
    if kind in ("shuffled-rows", "random-chunks"):
        return _fault(
            kind, where, one, f"{len(values)} rows", "rows are the dataset's, put together anew"
        )
    for subject, stories in dataset.others.items():
        theirs = stories.get(one.story)
        if theirs is not None and _is_theirs(values, theirs, one.start, columns):
            return _fault(
                "other-subject-responses", where, one, subject, f"responses are those of {subject}"
            )
    others = {name: rows for name, rows in known.items() if name != one.story}
    mixed = mixed_with(values, expected, others)
    if mixed and (mixed in dataset.repeated) != (one.story in dataset.repeated):
        return _fault("mixed-presentations", where, one, mixed, f"averaged with {mixed}")
    said = {
        "moved": "rows are moved in time",
        "other-story": "rows are those of another story",
        "": f"averaged with {mixed}" if mixed else "numbers are none of the dataset's",
    }[kind]
    if is_affine(values, expected):
        said = "columns are scaled or moved against the dataset's"
    return _fault("responses-not-the-dataset", where, one, f"{len(values)} rows", said)


def _is_theirs(values: Series, theirs: Series, start: int, columns: np.ndarray) -> bool:
    if theirs.shape[1] != len(columns):
        return False
    expected = theirs[start : start + len(values), columns]
    return same_rows(values, expected) or is_affine(values, expected)


def _fault(name: str, where: str, one: Entered, figure: str, said: str) -> Fault:
    role = one.role.split("/")[0]
    return Fault(name, f"{where}, {one.story} ({role})", figure, said)


def overlap_faults(
    scored: Sequence[Entered], entered: Sequence[Entered], *, where: str, within: bool = False
) -> Iterator[Fault | Unproven]:
    """Scored rows among those that were fitted or chosen on: exact, rescaled, shuffled, in parts.

    Parameters
    ----------
    scored, entered : sequences of Entered
        The roles of `entered` say what they were used for.
    where : str
    within : bool
        The study divides one story: neighbours are alike, and only equal rows are looked for.
    """
    for role, name in SIDES.items():
        side = [one for one in entered if one.role.split("/")[0] == role]
        if not side or not scored:
            continue
        columns = shown_columns(np.concatenate([o.values for o in (*scored, *side)]))
        rows = [one.values[:, columns] for one in scored]
        theirs = {f"{i}": one.values[:, columns] for i, one in enumerate(side)}
        places = RowPlaces(theirs)
        equal = sum(places.count(r) for r in rows)
        total = sum(map(len, rows))
        if equal >= FEWEST_EQUAL:
            yield Fault(
                name,
                where,
                f"{equal} of {total} scored rows",
                f"the same numbers were used to {role}",
            )
            continue
        if within:
            continue
        near = near_rows(rows, list(theirs.values()))
        if not np.isfinite(near.bound):
            yield Unproven(
                "near-rows",
                f"{where} ({role})",
                "too few targets to tell rescaled rows from chance",
            )
        elif near.found >= fewest_near(total):
            yield Fault(
                name,
                where,
                f"{near.found} of {total} scored rows",
                f"rows used to {role} are nearly equal (r over {near.bound:.3f})",
            )
