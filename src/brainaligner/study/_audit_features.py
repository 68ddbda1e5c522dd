"""Whether features are what their model gives for the text alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainaligner.core import text_hashes
from brainaligner.evaluation import Entered, Fault, MadeAgain, Unproven, design_faults
from brainaligner.study._audit_witness import Found, witness_found
from brainaligner.study._disk import read_array
from brainaligner.study._features import FeatureSpace, Stimuli
from brainaligner.study._store import Store
from brainaligner.study._witness import KEPT_COLUMNS, read_witness, sampled
from brainaligner.text import (
    Dtype,
    RowText,
    load_language_model,
    row_states,
    rows_from_states,
    story_texts,
)

_ROUNDING = 2e-2  # of its column's spread: no float32 value may be further off
_FLOOR = 1e-3, 1e-6  # the same of any column: of the columns' mean spread, of its largest value
_HALF_ROUNDING = 0.2  # the same for half precision, where texts of another batch round otherwise
_HALF_FLOOR = 4e-3  # the same, of the spread of all values
_HALF_COLUMN = 2e-2  # root mean square of a half-precision column, of its own spread


@dataclass(frozen=True, eq=False)
class FeatureAudit:
    """One feature space, and what it is compared with.

    Parameters
    ----------
    space : FeatureSpace
    stimuli : Stimuli
    responses : mapping of story to array, shape (time, target)
        Of a subject whose brain may have entered.
    tuned_on_brain : bool
    store : Store
    device : str
    """

    space: FeatureSpace
    stimuli: Stimuli
    responses: Mapping[str, np.ndarray]
    tuned_on_brain: bool
    store: Store
    device: str = "cpu"


def feature_faults(one: FeatureAudit, stories: Sequence[str]) -> Iterator[Found]:
    """Compare the texts that were read with the dataset's, and some stories' features.

    Parameters
    ----------
    one : FeatureAudit
    stories : sequence of str
        Stories whose features are computed again, by the model from text alone.
    """
    where = f"features {one.space.name}"
    lacking = witness_found(one.store, one.space.recipe, where)
    if lacking is not None:
        yield lacking
    if not one.store.has(one.space.recipe):
        return
    yield from _text_faults(one, where)
    try:
        again = _computed_again(one, stories)
    except Exception as error:  # a checkpoint that is gone, a precision that is not offered
        yield Unproven("features", where, f"the model could not be run again ({error})")
        return
    yield from _value_faults(one, again, where)


def _text_faults(one: FeatureAudit, where: str) -> Iterator[Found]:
    seen = read_witness(one.store.path(one.space.recipe))
    if seen is None:
        return
    read = {e.story: e.values for e in seen[0] if e.role == "read/texts"}
    wanted = {story: _hashes(one, story) for story in one.stimuli.rows}
    for story, hashes in wanted.items():
        found = read.get(story)
        if found is not None and np.array_equal(found, hashes):
            continue
        other = next((name for name, theirs in wanted.items() if _same_start(found, theirs)), None)
        moved = _moved(found, hashes)
        if other is not None and other != story:
            yield Fault(
                "features-other-story",
                f"{where}, {story}",
                other,
                f"the texts that were read are those of {other}",
            )
        elif moved:
            yield Fault(
                "features-shifted",
                f"{where}, {story}",
                f"{moved:+d} TRs",
                "the texts that were read are moved in time",
            )
        else:
            yield Fault(
                "features-not-reproduced",
                f"{where}, {story}",
                "no texts" if found is None else f"{len(found)} texts",
                "the texts that were read are not the story's",
            )


def _same_start(found: np.ndarray | None, theirs: np.ndarray) -> bool:
    if found is None:
        return False
    n = min(len(found), len(theirs))
    return n > 3 and bool((found[:n] == theirs[:n]).mean() > 0.9)


def _moved(found: np.ndarray | None, hashes: np.ndarray) -> int:
    """By how many rows texts are moved; 0 where no shift explains them."""
    if found is None or len(found) != len(hashes):
        return 0
    for shift in sorted(range(-12, 13), key=abs):
        low, high = max(0, shift), min(len(found), len(found) + shift)
        same = found[low:high] == hashes[low - shift : high - shift]
        if shift and same.mean() > 0.9:
            return shift
    return 0


def _hashes(one: FeatureAudit, story: str) -> np.ndarray:
    rows = _texts(one, story)
    return text_hashes(f"{len(row.context)} {row.text}" for row in rows)


def _texts(one: FeatureAudit, story: str) -> tuple[RowText, ...]:
    stimuli = one.stimuli
    return story_texts(
        stimuli.transcripts[story], stimuli.clock, stimuli.rows[story], settings=one.space.text
    )


def _computed_again(
    one: FeatureAudit, stories: Sequence[str], dtype: Dtype | None = None
) -> dict[str, np.ndarray]:
    """Rows of some stories, in the features' precision or in another."""
    settings, stimuli = replace(one.space.text, dtype=dtype or one.space.text.dtype), one.stimuli
    model = load_language_model(
        one.space.source, device=one.device, dtype=settings.dtype, untrained=one.space.untrained
    )
    texts = {story: _texts(one, story) for story in stories}
    states = row_states(model, texts, [one.space.layer], settings=settings)[one.space.layer]
    return {
        story: rows_from_states(
            values,
            stimuli.transcripts[story],
            stimuli.clock,
            stimuli.rows[story],
            settings=settings,
        )
        for story, values in states.items()
    }


def _value_faults(
    one: FeatureAudit, again: Mapping[str, np.ndarray], where: str
) -> Iterator[Found]:
    path = one.store.path(one.space.recipe) / "features.npz"
    entered, made = [], {}
    for story, values in again.items():
        stored = read_array(path, story)
        unlike = _unlike_columns(one, story, stored, values)
        if unlike:
            what = f"{unlike} columns of little spread differ by what rounding may explain"
            yield Unproven("features", f"{where}, {story}", f"{what} ({one.space.text.dtype})")
        if unlike is not None:
            continue
        shown, made[story] = _most_unlike(stored, values, one.space.text.dtype)
        entered.append(Entered("predict/design", story, 0, shown))
    if not entered:
        return
    for fault in design_faults(entered, MadeAgain(made, one.responses), where=where):
        if one.tuned_on_brain and fault.name == "features-not-reproduced":
            yield Fault(
                "brain-at-evaluation",
                fault.where,
                fault.figure,
                "the tuned model gives other features for the text alone",
            )
        else:
            yield fault


def _unlike_columns(
    one: FeatureAudit, story: str, stored: np.ndarray, values: np.ndarray
) -> int | None:
    """How many columns :func:`_close` counts; None where the features are others.

    In half precision two honest ways of computing (weights rounded, or products alone) may differ
    by the sum of their errors; either lies near the states in float32.
    """
    dtype = one.space.text.dtype
    if stored.shape != values.shape:
        return None
    found = _close(stored, values, dtype)
    if found == 0 or dtype == "float32":
        return found
    exact = _close(stored, _computed_again(one, [story], "float32")[story], dtype)
    return min((count for count in (found, exact) if count is not None), default=None)


def _most_unlike(
    stored: np.ndarray, values: np.ndarray, dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    """Columns that tell best what happened, on both sides; less their mean, which hides nothing."""
    if stored.shape == values.shape:
        columns = np.argsort(-_excess(stored, values, dtype))[:KEPT_COLUMNS]
    else:
        columns = np.array(sampled(min(stored.shape[1], values.shape[1]), KEPT_COLUMNS))
    centre = values[:, columns].mean(axis=0)
    return stored[:, columns] - centre, values[:, columns] - centre


def _close(stored: np.ndarray, values: np.ndarray, dtype: str) -> int | None:
    """How many columns differ by more than their own spread allows; None where they are others.

    Rounding goes by the size of whole rows of states: of a column that hardly varies beside the
    others it cannot be told from anything else.
    """
    if (_excess(stored, values, dtype) > 1).any():
        return None
    return int((_away(stored, values, dtype) > _own_room(values, dtype)).sum())


def _excess(stored: np.ndarray, values: np.ndarray, dtype: str) -> np.ndarray:
    """Difference of each column over the most that rounding may explain."""
    spread, own = values.std() + 1e-9, _own_room(values, dtype)
    if dtype == "float32":
        of_all, of_largest = _FLOOR
        mean_spread = np.sqrt(np.square(values.std(axis=0)).mean())
        floor = of_all * mean_spread + of_largest * np.abs(values).max(axis=0)
        return np.asarray(_away(stored, values, dtype) / np.maximum(own, floor))
    largest = np.abs(stored - values).max(axis=0) / (_HALF_ROUNDING * spread)
    errors = _away(stored, values, dtype) / np.maximum(own, _HALF_FLOOR * spread)
    return np.asarray(np.maximum(largest, errors))


def _away(stored: np.ndarray, values: np.ndarray, dtype: str) -> np.ndarray:
    """Largest difference of each column; in half precision the root mean square."""
    away = stored - values
    if dtype == "float32":
        return np.asarray(np.abs(away).max(axis=0))
    return np.asarray(np.sqrt(np.square(away).mean(axis=0)))


def _own_room(values: np.ndarray, dtype: str) -> np.ndarray:
    """The same that the spread of each column allows."""
    share = _ROUNDING if dtype == "float32" else _HALF_COLUMN
    return np.asarray(share * (values.std(axis=0) + 1e-9))
