"""Whether arrays, and what is asked of them, can be scored: said before any work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from brainaligner.core import InputError, Split, all_finite, unknown_name
from brainaligner.encoding import RidgeSettings
from brainaligner.evaluation import EvaluationSettings
from brainaligner.study._prepare_checks import FEWEST_ROWS
from brainaligner.text import DesignSettings

StoryArrays = Mapping[str, Float[np.ndarray, "_time _column"]]
Asked = tuple[DesignSettings, RidgeSettings, EvaluationSettings]

_NAMES: dict[str, type] = {
    "design": DesignSettings,
    "ridge": RidgeSettings,
    "evaluation": EvaluationSettings,
}


def check_request(features: object, responses: object, split: object, asked: Any) -> None:
    """Refuse arguments of other types, and what a notebook's arrays cannot give."""
    for name, side in (("features", features), ("responses", responses)):
        if not isinstance(side, Mapping):
            raise InputError(
                name,
                got=type(side).__name__,
                wanted="a mapping of story to matrix, such as a dict or np.load of an .npz file",
                do="Name each story's matrix: {'story': array, ...}.",
            )
    if not isinstance(split, Split):
        raise InputError(
            "split",
            got=type(split).__name__,
            wanted="a Split, which divides whole stories",
            do="Make one with draw_split; parts of one story are divided by a study file.",
        )
    for given, (name, kind) in zip(asked, _NAMES.items(), strict=True):
        if not isinstance(given, kind):
            raise InputError(
                name,
                got=f"{given!r} ({type(given).__name__})"[:90],
                wanted=f"{kind.__name__}(...)",
                do=f"Write {name}={_spelled(kind, given)}.",
            )
    if asked[0].nuisance != "none":
        raise InputError(
            "design settings: nuisance",
            got=repr(asked[0].nuisance),
            wanted="'none': the block Z is made from the words and their times",
            do="Put your own columns beside the features, or write a study file.",
        )


def _spelled(kind: type, given: object) -> str:
    """How the settings would have been written."""
    if isinstance(given, Mapping):
        return f"{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"
    if kind is RidgeSettings and isinstance(given, int | float):
        return f"RidgeSettings(alphas=({given!r},))"
    return f"{kind.__name__}()"


def check_lengths(
    rows: Mapping[str, int], split: Split, design: DesignSettings, evaluation: EvaluationSettings
) -> None:
    """Refuse delays and cuts that leave nothing of a story."""
    shortest = min(split.stories, key=lambda story: rows[story])
    longest = max(map(abs, design.delays))
    if longest >= rows[shortest]:
        raise InputError(
            "design settings: delays",
            got=f"a delay of {longest} rows, and {rows[shortest]} rows of {shortest!r}",
            wanted="delays that leave rows of every story",
            do="Count delays in rows (TRs), or leave the story out.",
        )
    cut = max(evaluation.cuts)
    for story in split.test:
        if rows[story] < 2 * cut + FEWEST_ROWS:
            raise InputError(
                f"test story {story!r}",
                got=f"{rows[story]} rows",
                wanted=f"at least {2 * cut + FEWEST_ROWS}, for evaluation drops {cut} at each end",
                do="Give evaluation=EvaluationSettings(cuts=(0,)), or leave the story out.",
            )


def checked_rows(
    features: StoryArrays, responses: StoryArrays, split: Split
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both arrays of each story of the split, checked against each other and the first story."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for story in split.stories:
        pair = tuple(
            _checked(side, story, arrays)
            for side, arrays in (("features", features), ("responses", responses))
        )
        found[story] = pair[0], pair[1]
        first = found[split.stories[0]]
        wanted = [(len(pair[0]), one.shape[1]) for one in first]
        if [one.shape for one in pair] != wanted:
            raise InputError(
                f"story {story!r}",
                got=f"features of shape {pair[0].shape} and responses of shape {pair[1].shape}",
                wanted=f"shapes {wanted[0]} and {wanted[1]}: as many rows on both sides, and the "
                f"columns of {split.stories[0]!r}",
                do="Check that both are of the same story, trimmed alike.",
            )
    return found


def _checked(side: str, story: str, arrays: StoryArrays) -> np.ndarray:
    if story not in arrays:
        raise unknown_name(side, "story", story, arrays)
    where, given = f"{side} of {story!r}", arrays[story]
    if np.ma.is_masked(given):
        raise InputError(
            where,
            got=f"{int(np.ma.getmaskarray(given).sum())} masked values",
            wanted="a plain array, for a mask would be dropped",
            do="Fill them (array.filled(0.0)), and count them, where the data are read.",
        )
    values = np.asarray(given)
    if values.ndim != 2 or 0 in values.shape or values.dtype not in (np.float32, np.float64):
        raise InputError(
            where,
            got=f"a {values.dtype} array of shape {values.shape}",
            wanted="a float32 or float64 matrix, one row per TR",
            do="Convert it with astype('float32'), or give its columns a second dimension.",
        )
    if not all_finite(values):
        raise InputError(
            where,
            got=f"{int((~np.isfinite(values)).sum())} values that are NaN or infinite",
            wanted="finite values",
            do="Replace them, and count them, where the data are read.",
        )
    return values
