"""Do tests and intervals do what they promise? Null and planted data sets, and real stories."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from acceptance.mismatched import NOT_NULL, mismatched_stories
from brainaligner.evaluation import (
    Comparison,
    ComparisonSettings,
    EvaluationSettings,
    block_permutation,
    compare_arms,
    fdr_bh,
    fdr_by,
    story_moments,
)

Result = dict[str, Any]
Stories = list[np.ndarray]

AR = (0.4, 0.75, 0.9)
N_STORIES = (14, 8)
N_SETS, N_PLANTED_SETS, SETS_AT_ONCE = 2000, 1000, 100
N_TARGETS, N_PLANTED = 10, 3
LEVEL = 0.05
PLANTED_R = 0.1
GAIN, STORY_SD = 0.12, 0.03
PLANTED_GAIN = 0.05  # of the arm over the reference, in all targets
MUCH = 0.2  # and in 3 of 10


def calibration(scratch: Path) -> Result:
    """Level, false discoveries, coverage and power, on simulated series and real stories."""
    tests = {
        f"AR {phi}": _kept(scratch, f"tests-{phi}", lambda phi=phi: _voxel_tests(phi)) for phi in AR
    }
    pairs = {
        f"AR {phi}, {n} stories": _kept(
            scratch, f"pairs-{phi}-{n}", lambda phi=phi, n=n: _paired(phi, n)
        )
        for phi in AR
        for n in N_STORIES
    }
    real = _kept(scratch, "real", lambda: mismatched_stories(scratch))
    held = [_fdr_held(one) for one in (*tests.values(), *pairs.values())]
    covered = [0.93 <= c <= 0.97 for one in pairs.values() for c in one["coverage"].values()]
    judged = [one["false_positives"] for name, one in real.items() if name not in NOT_NULL]
    return {
        "passed": all(held) and all(covered) and all(0.04 <= share <= 0.06 for share in judged),
        "block_permutation": tests,
        "paired_comparison": pairs,
        "real_mismatched_stories": real,
    }


def _kept(scratch: Path, name: str, measure: Callable[[], Result]) -> Result:
    """What was measured before, or a new measurement."""
    path = scratch / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(measure()), encoding="utf-8")
    loaded: Result = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _fdr_held(one: Result) -> bool:
    pairs = (("bh_false_discoveries", "bh_se"), ("by_false_discoveries", "by_se"))
    return all(one[rate] <= LEVEL + 2 * one[error] for rate, error in pairs)


def _lengths(rng: np.random.Generator, n_stories: int) -> list[int]:
    return rng.integers(120, 220, n_stories).tolist()


def _ar1(rng: np.random.Generator, n_rows: int, n_columns: int, phi: float) -> np.ndarray:
    """Unit-variance AR(1) series, stationary from the first row on, (row, column)."""
    noise = rng.standard_normal((n_columns, n_rows), dtype=np.float32)
    noise[:, 1:] *= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1)).T


def _voxel_tests(phi: float) -> Result:
    """Block permutation of 2,000 data sets: 7 unrelated and 3 planted targets in each."""
    rng = np.random.default_rng(int(1000 * phi))
    p = np.concatenate([_tested_sets(rng, phi, batch) for batch in range(N_SETS // SETS_AT_ONCE)])
    unrelated = p[:, N_PLANTED:] <= LEVEL
    return _share("false_positives", unrelated.mean(axis=1)) | _discoveries(p)


def _tested_sets(rng: np.random.Generator, phi: float, seed: int) -> np.ndarray:
    """P of each target of some data sets, (set, target)."""
    lengths, width = _lengths(rng, 14), SETS_AT_ONCE * N_TARGETS
    planted = np.arange(width) % N_TARGETS < N_PLANTED
    predicted = [_ar1(rng, rows, width, phi).astype(np.float32) for rows in lengths]
    gain = np.where(planted, PLANTED_R, 0.0)
    measured = [
        (gain * p + np.sqrt(1 - gain**2) * _ar1(rng, len(p), width, phi)).astype(np.float32)
        for p in predicted
    ]
    found = block_permutation(predicted, measured, n_permutations=999, seed=seed)
    return found.p.reshape(SETS_AT_ONCE, N_TARGETS)


def _discoveries(p: np.ndarray) -> Result:
    """Share of false ones among discoveries, mean over sets; share of planted ones found."""
    result: Result = {}
    for name, adjust in (("bh", fdr_bh), ("by", fdr_by)):
        found = np.array([adjust(one) for one in p]) <= LEVEL
        false = found[:, N_PLANTED:].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
        result[f"{name}_false_discoveries"] = float(false.mean())
        result[f"{name}_se"] = float(false.std() / np.sqrt(len(false)))
        result[f"{name}_power"] = float(found[:, :N_PLANTED].mean())
    return result


def _share(name: str, by_set: np.ndarray) -> Result:
    return {name: float(by_set.mean()), f"{name}_se": float(by_set.std() / np.sqrt(len(by_set)))}


def _paired(phi: float, n_stories: int) -> Result:
    """Pairs of arms in data sets: equal ones, and ones with a planted difference.

    The margin of equivalence is put where the planted difference is, so that calling those
    arms equivalent is false.
    """
    rng = np.random.default_rng([int(1000 * phi), n_stories])
    pilot = [_compare(rng, phi, n_stories, PLANTED_GAIN, draws=20) for _ in range(400)]
    margin = float(
        np.mean([c.difference for c in pilot]) / np.mean([c.reference_mean for c in pilot])
    )
    equal, better = (
        [_compare(rng, phi, n_stories, gain, margin=margin) for _ in range(n_sets)]
        for gain, n_sets in ((0.0, N_SETS), (PLANTED_GAIN, N_PLANTED_SETS))
    )
    some = np.where(np.arange(N_TARGETS) < N_PLANTED, MUCH, 0.0)
    p = [_compare(rng, phi, n_stories, some, draws=20).targets.p for _ in range(N_PLANTED_SETS)]
    truth = float(np.mean([one.difference for one in better]))
    return (
        _share("false_positives", np.array([(c.targets.p <= LEVEL).mean() for c in equal]))
        | _discoveries(np.array(p))
        | {
            "coverage": {"no difference": _covered(equal, 0.0), "planted": _covered(better, truth)},
            "planted_difference": truth,
            "planted_found": float(np.mean([c.direction == "better" for c in better])),
            "median_detectable": float(np.median([c.detectable for c in equal])),
            "falsely_equivalent": _called_equivalent(better),
            "rightly_equivalent": _called_equivalent(equal),
        }
    )


def _covered(comparisons: Sequence[Comparison], truth: float) -> float:
    return float(np.mean([c.interval.low <= truth <= c.interval.high for c in comparisons]))


def _called_equivalent(comparisons: Sequence[Comparison]) -> float:
    return float(np.mean([c.equivalence.verdict == "equivalent" for c in comparisons]))


def _compare(
    rng: np.random.Generator,
    phi: float,
    n_stories: int,
    gain: float | np.ndarray,
    *,
    margin: float = 0.02,
    draws: int = 1000,
) -> Comparison:
    """Two arms on one data set; how well each predicts differs between stories and targets."""
    arms: tuple[Stories, Stories] = ([], [])
    measured: Stories = []
    for rows in _lengths(rng, n_stories):
        common, own, other, noise = _series(rng, rows, phi)
        gains = [_gains(rng, 0.0), _gains(rng, gain)]
        measured.append(GAIN * common + gains[0] * own + gains[1] * other + noise)
        for arm, signal in zip(arms, (own, other), strict=True):
            arm.append((common + signal) / np.sqrt(2))
    moments = {name: [story_moments(arm, measured)] for name, arm in zip("ab", arms, strict=True)}
    evaluation = EvaluationSettings(n_bootstrap=draws, seed=int(rng.integers(2**31)))
    (found,) = compare_arms(
        moments, settings=ComparisonSettings(margin=margin), evaluation=evaluation
    )
    return found


def _gains(rng: np.random.Generator, more: float | np.ndarray) -> np.ndarray:
    """Of one story: a spread that its targets share, and one of their own."""
    spread = rng.standard_normal() + rng.standard_normal(N_TARGETS)
    return np.asarray(GAIN + more + STORY_SD * spread)


def _series(rng: np.random.Generator, n_rows: int, phi: float) -> np.ndarray:
    """Four sets of series, (4, row, target), whose targets share half of their variance."""
    drawn = _ar1(rng, n_rows, 4 * (N_TARGETS + 1), phi).reshape(n_rows, 4, N_TARGETS + 1)
    return np.moveaxis(np.sqrt(0.5) * (drawn[..., 1:] + drawn[..., :1]), 1, 0)
