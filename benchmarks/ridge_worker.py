"""One ridge fit by one library, in a process of its own; `ridge.py` starts it.

``python benchmarks/ridge_worker.py SOLVER FOLDER THREADS [PEER_FOLDER]`` reads X, Y (training)
and XV, YV (validation) from FOLDER, scores all alphas on the validation rows, and computes the
weights at the best alpha of each target. It leaves ``SOLVER.npz`` with r there and prints JSON:
seconds of wall clock and processor from the arrays to the weights (imports are done before), and
peak resident memory.

Every library does the work as its own documentation does it. Huth-lab alphas are roots of ours.
``SOLVER-float64`` gives a library float64 arrays: published recordings are float64, and the Huth
lab's own scripts hand them on as they are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

THREADS = sys.argv[3] if len(sys.argv) > 3 else "1"
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = THREADS

import numpy as np  # noqa: E402 - threads are set before

DOUBLE = "-float64"
Arrays = dict[str, np.ndarray]
Scores = dict[str, np.ndarray]
"""``r`` (alpha, target), or ``best`` (target) where a library tells no more; ``targets``."""


def brainaligner(data: Arrays, alphas: np.ndarray, _: Path | None) -> Scores:
    """Blocks of targets, stories read as they are needed, weights written as they come."""
    import torch

    from brainaligner.encoding import ArrayStories, RidgeSettings, stream_ridge

    torch.set_num_threads(int(THREADS))
    stories = _stories(data["X"], 20), _stories(data["Y"], 20)
    settings = RidgeSettings(alphas=tuple(alphas.tolist()), alpha="per_target")
    weights = np.empty((data["X"].shape[1], data["Y"].shape[1]), np.float32)
    r = np.empty((len(alphas), data["Y"].shape[1]), np.float32)
    train, validation = ArrayStories(*stories), ArrayStories([data["XV"]], [data["YV"]])
    for block in stream_ridge(train, validation, (), settings=settings):
        weights[:, block.targets] = block.weights
        r[:, block.targets] = block.choice.validation_r
    return {"r": r}


def himalaya(data: Arrays, alphas: np.ndarray, _: Path | None) -> Scores:
    """``RidgeCV`` on torch with one predefined split; targets in batches, refit on all rows."""
    import torch
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import correlation_score
    from sklearn.model_selection import PredefinedSplit

    torch.set_num_threads(int(THREADS))
    set_backend("torch")
    batch = int(os.environ.get("HIMALAYA_BATCH", "4000"))
    side = np.concatenate([np.full(len(data["X"]), -1), np.zeros(len(data["XV"]), int)])
    model = RidgeCV(
        alphas=alphas,
        cv=PredefinedSplit(side),
        solver_params={
            "score_func": correlation_score,
            "n_targets_batch": batch,
            "n_targets_batch_refit": batch,
            "n_alphas_batch": 1,
        },
    )
    model.fit(*(np.concatenate([data[name], data[f"{name}V"]]) for name in ("X", "Y")))
    return {"best": np.asarray(model.cv_scores_)}


def huth(data: Arrays, alphas: np.ndarray, folder: Path | None) -> Scores:
    """``ridge_corr`` and ``ridge`` of the Huth lab's deep-fMRI-dataset."""
    assert folder is not None
    sys.path.insert(0, str(folder / "encoding"))
    from ridge_utils.ridge import ridge, ridge_corr

    r = np.stack(ridge_corr(data["X"], data["XV"], data["Y"], data["YV"], np.sqrt(alphas)))
    ridge(data["X"], data["Y"], np.sqrt(alphas)[r.argmax(axis=0)])
    return {"r": r}


def litcoder(data: Arrays, alphas: np.ndarray, folder: Path | None) -> Scores:
    """``ridge_corr_torch`` and ``ridge_torch`` of LITcoder."""
    import importlib

    import torch

    assert folder is not None
    torch.set_num_threads(int(THREADS))
    _without_package(folder)
    solvers = importlib.import_module("encoding.models.ridge_regression")
    x, xv, y, yv = (torch.from_numpy(np.array(data[name])) for name in ("X", "XV", "Y", "YV"))
    roots = [float(root) for root in np.sqrt(alphas)]
    r = solvers.ridge_corr_torch(x, xv, y, yv, roots)
    solvers.ridge_torch(x, y, torch.tensor(roots)[r.argmax(dim=0)])
    return {"r": r.numpy()}


def scikit(data: Arrays, alphas: np.ndarray, _: Path | None) -> Scores:
    """``Ridge`` by Cholesky for each alpha; the best weights of each target are kept."""
    from sklearn.linear_model import Ridge

    measured = data["YV"] - data["YV"].mean(0)
    measured /= np.linalg.norm(measured, axis=0)
    r, weights = [], None
    for alpha in alphas:
        model = Ridge(alpha=alpha, fit_intercept=False, solver="cholesky")
        predicted = model.fit(data["X"], data["Y"]).predict(data["XV"])
        predicted -= predicted.mean(0)
        r.append((predicted * measured).sum(0) / np.linalg.norm(predicted, axis=0))
        better = r[-1] >= np.max(r, axis=0)
        weights = (
            model.coef_ if weights is None else np.where(better[:, None], model.coef_, weights)
        )
    return {"r": np.stack(r)}


def reference(data: Arrays, alphas: np.ndarray, _: Path | None) -> Scores:
    """Float64 normal equations, solved for each alpha by Cholesky; every 16th target."""
    from scipy.linalg import cho_factor, cho_solve

    targets = np.arange(0, data["Y"].shape[1], 16)
    x, xv = (data[name].astype(np.float64) for name in ("X", "XV"))
    y, yv = (data[name][:, targets].astype(np.float64) for name in ("Y", "YV"))
    gram, cross, yv = x.T @ x, x.T @ y, yv - yv.mean(0)
    r = []
    for alpha in alphas:
        predicted = xv @ cho_solve(cho_factor(gram + alpha * np.eye(len(gram))), cross)
        predicted -= predicted.mean(0)
        spread = np.linalg.norm(predicted, axis=0) * np.linalg.norm(yv, axis=0)
        r.append((predicted * yv).sum(0) / spread)
    return {"r": np.stack(r), "targets": targets}


def products(data: Arrays, alphas: np.ndarray, _: Path | None) -> Scores:
    """This machine's limit: float32 products of the same sizes, in blocks of 4,096 targets.

    ``X' Y`` once, ``V' (X' Y)`` and ``V c`` for the change of coordinates, products of validation
    rows and responses, and squares of the predictions for each alpha by the triangle of QR.
    """
    import torch

    torch.set_num_threads(int(THREADS))
    x, xv = (torch.from_numpy(np.array(data[name])) for name in ("X", "XV"))
    v = torch.ones((x.shape[1], x.shape[1]))
    triangle = torch.linalg.qr(xv, mode="r").R
    for start in range(0, data["Y"].shape[1], 4096):
        y = torch.from_numpy(np.array(data["Y"][:, start : start + 4096]))
        projected = v.T @ (x.T @ y)
        xv.T @ y[: len(xv)]
        for _alpha in alphas:
            for row in range(0, len(triangle), len(triangle) // 8):
                triangle[row : row + len(triangle) // 8, row:] @ projected[row:]
        v @ projected
    return {}


SOLVERS: dict[str, Callable[[Arrays, np.ndarray, Path | None], Scores]] = {
    "brainaligner": brainaligner,
    "himalaya": himalaya,
    "scikit-learn": scikit,
    "huth": huth,
    "litcoder": litcoder,
    "reference": reference,
    "products": products,
}


def _few(data: Arrays) -> Arrays:
    """Small arrays of the same kind."""
    return {name: np.array(values[:100, :20]) for name, values in data.items()}


def _stories(values: np.ndarray, n: int) -> list[np.ndarray]:
    return np.array_split(values, n)


def _without_package(folder: Path) -> None:
    """Let two modules be imported without all else that their package imports on the way."""
    import types

    for name in ("encoding", "encoding.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = package


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Fit once and print JSON."""
    solver, folder = sys.argv[1], Path(sys.argv[2])
    peer = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    alphas = np.load(folder / "alphas.npy")
    data = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "Y", "XV", "YV")}
    library = solver.removesuffix(DOUBLE)
    dtype = np.float64 if solver.endswith(DOUBLE) else np.float32
    if library != "brainaligner":  # only ours reads from the disk as it goes
        data = {name: np.array(values, dtype) for name, values in data.items()}
    SOLVERS[library](_few(data), alphas, peer)  # imports, and threads that start
    wall, cpu = time.perf_counter(), time.process_time()
    found = SOLVERS[library](data, alphas, peer)
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.savez(folder / f"{solver}.npz", **found)
    print(json.dumps({name: round(value, 3) for name, value in took.items()}
                     | {"peak_mib": round(_peak_mib(), 1)}))  # fmt: skip


if __name__ == "__main__":
    main()
