"""Series that keep the autocorrelation of real ones and lose their tie to any response."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import scipy.fft
from jaxtyping import Float, Float64

from brainaligner.core import InputError, unknown_name
from brainaligner.evaluation._shift_null import smallest_shift

NULL_KINDS = ("shifted", "reversed", "other story", "noise")
Series = Mapping[str, Float[np.ndarray, "_time _column"]]
MIN_SHIFT = 30


def null_series(
    series: Series,
    kind: str,
    *,
    draw: int,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
) -> dict[str, Float[np.ndarray, "_time _column"]]:
    """Draw a null of the series of several stories, each as long as it was.

    ``"shifted"``: moved circularly within the story by at least 30 rows (a third of a story
    that is short), less the mean over all shifts that may be drawn, plus the story's own mean:
    shifts near 0 are not among them, so that without this the draws would run against the true
    series on average, in training and test stories alike, and what is fitted on them would score
    (mean r up to .07 on either side for slow series, AR .9, in stories of 90 rows; nothing in
    long ones).
    ``"reversed"``: in reverse order.
    ``"other story"``: another story's rows, repeated where they are too few. ``"noise"``: random
    phases, the same for all columns, so that every column keeps its own autocorrelation and its
    correlation with the others.
    Reversed series and those of another story are then moved circularly by any number of rows,
    because stories' starts and ends drive every response: without it, an honest model's
    reversed predictions would score.

    Parameters
    ----------
    series : mapping of story to float array, shape (time, column)
    kind : {"shifted", "reversed", "other story", "noise"}
    draw : int
        Number of the draw.
    seed : int
    names : mapping of story to str, optional
        What a story's randomness follows from, such as the digest of its words: a story that
        stands there twice under two names then gets the same null twice, and so shows. The
        story's name where nothing is said.

    Raises
    ------
    InputError
        For an unknown kind, or another story where there is only one.
    """
    if kind not in _MAKERS:
        raise unknown_name("null series", "kind", kind, NULL_KINDS)
    if kind == "other story" and len(series) < 2:
        raise InputError(
            "null series", got="one story", wanted="two or more", do="Leave this kind out."
        )
    made = {}
    for story in series:
        rng = _generator(seed, draw, kind, (names or {}).get(story, story))
        made[story] = _MAKERS[kind](series, story, rng)
    return made


def possible_nulls(n_stories: int) -> tuple[str, ...]:
    """Kinds that this many stories allow."""
    return tuple(kind for kind in NULL_KINDS if n_stories > 1 or kind != "other story")


def _generator(seed: int, draw: int, kind: str, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{kind}\0{name}".encode()).digest()
    return np.random.default_rng((seed, draw, int.from_bytes(digest[:8], "little")))


def _shifted(series: Series, story: str, rng: np.random.Generator) -> np.ndarray:
    values = series[story]
    least = smallest_shift(len(values), MIN_SHIFT)
    moved = np.roll(values, int(rng.integers(least, len(values) - least, endpoint=True)), axis=0)
    return np.asarray(moved - mean_shift(values, least), dtype=values.dtype)


def mean_shift(
    values: Float[np.ndarray, "time column"], least: int
) -> Float64[np.ndarray, "time column"]:
    """Mean over all circular shifts by `least` rows and more, less the mean over all rows.

    All shifts together add up to the mean of the rows, so this is what shifts nearer than `least`
    lack: ``-sum_{|k| < least} (x[t - k] - mean) / (T - 2 least + 1)``.
    """
    n_rows = len(values)
    centred = values - values.mean(axis=0, dtype=np.float64)
    around = np.concatenate([centred[n_rows - least + 1 :], centred, centred[: least - 1]])
    sums = np.concatenate([np.zeros((1, values.shape[1])), around.cumsum(axis=0)])
    near = sums[2 * least - 1 :] - sums[:n_rows]
    return np.asarray(-near / (n_rows - 2 * least + 1))


def _reversed(series: Series, story: str, rng: np.random.Generator) -> np.ndarray:
    return _moved(series[story][::-1], rng)


def _other_story(series: Series, story: str, rng: np.random.Generator) -> np.ndarray:
    others = sorted(name for name in series if name != story)
    other = series[others[int(rng.integers(len(others)))]]
    rows = np.arange(len(series[story])) + int(rng.integers(len(other)))
    return np.asarray(other[rows % len(other)])


def _noise(series: Series, story: str, rng: np.random.Generator) -> np.ndarray:
    values = series[story]
    spectrum = scipy.fft.rfft(values, axis=0)
    turns = np.exp(2j * np.pi * rng.random(len(spectrum)))
    turns[0] = 1.0
    if len(values) % 2 == 0:
        turns[-1] = rng.choice((-1.0, 1.0))
    turned = spectrum * turns[:, None].astype(spectrum.dtype)
    return np.asarray(scipy.fft.irfft(turned, len(values), axis=0), dtype=values.dtype)


def _moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.roll(values, int(rng.integers(len(values))), axis=0)


_MAKERS: dict[str, Callable[[Series, str, np.random.Generator], np.ndarray]] = {
    "shifted": _shifted,
    "reversed": _reversed,
    "other story": _other_story,
    "noise": _noise,
}
