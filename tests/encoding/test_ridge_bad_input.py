"""Everything that is refused before work begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from planted_ridge import planted_stories

from brainaligner.core import InputError
from brainaligner.encoding import (
    ArrayDesigns,
    ArrayStories,
    BandedSettings,
    RidgeEncoder,
    RidgeSettings,
    decompose,
    fit_banded,
    fit_ridge,
    predict,
    stream_ridge,
)

X, Y = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)
NAN = np.full((5, 3), np.nan, np.float32)
TRAIN, VALIDATION = planted_stories(1, (20, 20)), planted_stories(2, (15,))
FOUR = planted_stories(2, (15,), n_targets=4)
WIDE = planted_stories(2, (15,), n_features=13)
ONE = RidgeSettings(alphas=(1.0,))
LEFT_OUT = RidgeSettings(selection="leave_story_out")
STORED = decompose(TRAIN, settings=ONE)


class Unruly(ArrayStories):
    """Stories whose files disagree, which shows only when they are read."""

    def __post_init__(self) -> None: ...


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "no alpha": (lambda: RidgeSettings(alphas=()), "alphas"),
    "alpha of zero": (lambda: RidgeSettings(alphas=(0.0, 1.0)), "positive"),
    "negative alpha": (lambda: RidgeSettings(alphas=(-1.0,)), "positive"),
    "infinite alpha": (lambda: RidgeSettings(alphas=(1.0, np.inf)), "finite"),
    "alpha that is NaN": (lambda: RidgeSettings(alphas=(np.nan,)), "finite"),
    "unsorted alphas": (lambda: RidgeSettings(alphas=(10.0, 1.0)), "increasing"),
    "doubled alpha": (lambda: RidgeSettings(alphas=(1.0, 1.0)), "increasing"),
    "scaling alone": (lambda: RidgeSettings(scaling="training"), "intercept=True"),
    "no banded alpha": (lambda: BandedSettings(alphas=()), "alphas"),
    "no candidate": (lambda: BandedSettings(n_iter=0), "at least one candidate"),
    "negative seed": (lambda: BandedSettings(seed=-1), "seed"),
    "no story": (lambda: ArrayStories([], []), "no story"),
    "a design too many": (lambda: ArrayStories([X, X], [Y]), "2 designs and 1"),
    "rows that differ": (lambda: ArrayStories([X], [Y[:4]]), "4 rows"),
    "features that differ": (lambda: ArrayStories([X, X[:, :2]], [Y, Y]), "2 features"),
    "targets that differ": (lambda: ArrayStories([X, X], [Y, Y[:, :1]]), "1 targets"),
    "NaN in a design": (lambda: ArrayStories([NAN], [Y]), "15 values that are NaN"),
    "NaN in responses": (lambda: ArrayStories([X], [NAN]), "NaN"),
    "whole numbers": (lambda: ArrayStories([X.astype(int)], [Y]), "int64"),
    "half precision": (lambda: ArrayStories([X], [Y.astype(np.float16)]), "float16"),
    "a vector": (lambda: ArrayStories([X[0]], [Y]), "matrix"),
    "an empty matrix": (lambda: ArrayStories([X[:0]], [Y[:0]]), "non-empty"),
    "a bad test design": (lambda: ArrayDesigns([X, X[:, :2]]), "2 features"),
    "no training design": (lambda: decompose([], settings=ONE), "no story"),
    "a single row": (lambda: decompose([X[:1]], settings=ONE), "at least 2"),
    "unknown device": (lambda: decompose([X], settings=ONE, device="cpuu"), "cannot use"),
    "absent device": (lambda: decompose([X], settings=ONE, device="cuda:99"), "cannot use"),
    "mps": (lambda: decompose([X], settings=ONE, device="mps"), "float64"),
    "no validation": (lambda: fit_ridge(TRAIN, settings=RidgeSettings()), "validation"),
    "one story left out": (lambda: fit_ridge(VALIDATION, settings=LEFT_OUT), "one story"),
    "two ways to choose": (
        lambda: fit_ridge(TRAIN, VALIDATION, settings=LEFT_OUT),
        "beside selection",
    ),
    "other validation targets": (lambda: fit_ridge(TRAIN, FOUR, settings=ONE), "4 targets"),
    "other validation features": (lambda: fit_ridge(TRAIN, WIDE, settings=ONE), "13 features"),
    "other test features": (
        lambda: stream_ridge(TRAIN, None, WIDE.designs, settings=ONE),
        "13 features",
    ),
    "no target at once": (
        lambda: fit_ridge(TRAIN, settings=ONE, target_block=0),
        "target_block",
    ),
    "rows that differ on disk": (
        lambda: stream_ridge(Unruly([X], [Y[:4]]), None, (), settings=ONE),
        "4 rows",
    ),
    "features that differ on disk": (
        lambda: stream_ridge(Unruly([X, X[:, :2]], [Y, Y]), None, (), settings=ONE),
        "2 features",
    ),
    "NaN on disk": (
        lambda: stream_ridge(Unruly([X], [NAN]), None, (), settings=ONE),
        "NaN",
    ),
    "decomposition of other stories": (
        lambda: fit_ridge(planted_stories(5, (20, 20)), settings=ONE, decomposition=STORED),
        "other values",
    ),
    "decomposition of more stories": (
        lambda: fit_ridge(VALIDATION, settings=ONE, decomposition=STORED),
        "2 stories",
    ),
    "decomposition without intercept": (
        lambda: fit_ridge(
            TRAIN, settings=RidgeSettings(alphas=(1.0,), intercept=True), decomposition=STORED
        ),
        "another intercept",
    ),
    "decomposition of another form": (
        lambda: fit_ridge(
            TRAIN, settings=RidgeSettings(alphas=(1.0,), form="dual"), decomposition=STORED
        ),
        "form",
    ),
    "design of other features": (lambda: predict(fit_ridge(TRAIN, settings=ONE), X), "(5, 3)"),
    "bands with a gap": (
        lambda: fit_banded(
            TRAIN, VALIDATION, [slice(0, 4), slice(5, 12)], settings=BandedSettings()
        ),
        "slices that follow",
    ),
    "bands that end early": (
        lambda: fit_banded(TRAIN, VALIDATION, [slice(0, 4)], settings=BandedSettings()),
        "0 to 12",
    ),
    "no band": (
        lambda: fit_banded(TRAIN, VALIDATION, [], settings=BandedSettings()),
        "none",
    ),
    "bands without validation": (
        lambda: fit_banded(
            TRAIN, None, [slice(0, 12)], settings=BandedSettings(alphas=(1.0,), n_iter=1)
        ),
        "validation",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_name(name: str) -> None:
    call, words = BAD[name]
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("field", ["alpha", "selection", "scaling", "form", "products"])
def test_an_unknown_choice_names_the_nearest(field: str) -> None:
    good = getattr(RidgeSettings(), field)
    with pytest.raises((InputError, TypeError)) as caught:  # a type checker may come first
        RidgeSettings(**{field: good + "s"})
    assert good in str(caught.value)


def test_a_stored_decomposition_with_an_array_missing_is_refused() -> None:
    arrays = STORED.as_arrays()
    del arrays["basis"]
    with pytest.raises(InputError, match="basis"):
        type(STORED).from_arrays(arrays)


def test_reduced_precision_is_refused_and_says_how_to_leave_it() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(InputError, match="set_float32_matmul_precision"):
            fit_ridge(TRAIN, settings=ONE)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("unchecked")
def test_one_array_in_the_place_of_a_list_of_stories_is_refused() -> None:
    matrix = np.ones((9, 2), dtype=np.float32)
    for designs, matrices in ((matrix, matrix), ([matrix], matrix)):
        with pytest.raises(InputError, match=r"got one array of shape \(9, 2\).*Write \[array\]"):
            ArrayStories(designs, matrices)


@pytest.mark.usefixtures("unchecked")
def test_an_estimator_names_a_wrong_grid() -> None:
    x, y = np.ones((9, 2)), np.ones((9, 3))
    with pytest.raises(InputError, match=r"ridge: alphas: got 10.0 \(float\).*Write \(10.0,\)"):
        RidgeEncoder(alphas=10.0).fit(x, y, groups=np.arange(9) // 3)
