"""Small stories with a planted answer, and ridge written out in plain float64 numpy."""

from __future__ import annotations

import numpy as np

from brainaligner.encoding import ArrayStories


def planted_stories(
    seed: int,
    rows: tuple[int, ...],
    *,
    n_features: int = 12,
    n_targets: int = 7,
    offset: float = 0.0,
    collinear: bool = False,
) -> ArrayStories:
    """Smooth designs and responses ``X W + noise``; the weights do not depend on `seed`."""
    weights = np.random.default_rng(99).standard_normal((n_features, n_targets))
    rng = np.random.default_rng(seed)
    designs, responses = [], []
    for n in rows:
        design = rng.standard_normal((n, n_features)) + 0.5 * rng.standard_normal((n, 1))
        if collinear:
            design[:, 1] = design[:, 0]
            design[:, 2] = design[:, 0] - design[:, 3]
        design = (design + offset).astype(np.float32)
        noise = 4.0 * rng.standard_normal((n, n_targets))
        designs.append(design)
        responses.append((design @ weights + noise + offset).astype(np.float32))
    return ArrayStories(designs, responses)


class StoriesAround:
    """Stories that pass everything on; tests watch or damage what they read."""

    def __init__(self, inner: ArrayStories) -> None:
        self.inner = inner

    @property
    def n_targets(self) -> int:
        return self.inner.n_targets

    def __len__(self) -> int:
        return len(self.inner)

    def design(self, i: int) -> np.ndarray:
        return self.inner.design(i)

    def responses(self, i: int, targets: slice) -> np.ndarray:
        return self.inner.responses(i, targets)


def stacked(stories: ArrayStories) -> tuple[np.ndarray, np.ndarray]:
    """All rows of designs and responses, in float64."""
    x, y = np.concatenate(stories.designs), np.concatenate(stories.matrices)
    return x.astype(np.float64), y.astype(np.float64)


def plain_ridge(
    x: np.ndarray, y: np.ndarray, alpha: float, *, intercept: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and constants by the normal equations."""
    mean_x = x.mean(0) if intercept else np.zeros(x.shape[1])
    mean_y = y.mean(0) if intercept else np.zeros(y.shape[1])
    centred = x - mean_x
    gram = centred.T @ centred + alpha * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y - mean_y))
    return weights, mean_y - mean_x @ weights


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of matching columns."""
    return np.array([np.corrcoef(p, q)[0, 1] for p, q in zip(a.T, b.T, strict=True)])


def validation_table(
    train: ArrayStories, validation: ArrayStories, alphas: tuple[float, ...], *, intercept: bool
) -> np.ndarray:
    """Validation r of every alpha and target, by an explicit loop."""
    (x, y), (xv, yv) = stacked(train), stacked(validation)
    rows = []
    for alpha in alphas:
        weights, constant = plain_ridge(x, y, alpha, intercept=intercept)
        rows.append(pearson(xv @ weights + constant, yv))
    return np.array(rows)


def left_out_table(
    train: ArrayStories, alphas: tuple[float, ...], *, intercept: bool
) -> np.ndarray:
    """r of every alpha and target with each story predicted by a refit to the others."""
    x, y = stacked(train)
    story = np.repeat(np.arange(len(train)), [design.shape[0] for design in train.designs])
    table = []
    for alpha in alphas:
        predicted = np.empty_like(y)
        for s in range(len(train)):
            out = story == s
            weights, constant = plain_ridge(x[~out], y[~out], alpha, intercept=intercept)
            predicted[out] = x[out] @ weights + constant
        table.append(pearson(predicted, y))
    return np.array(table)
