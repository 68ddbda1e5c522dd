"""The other-listener reference, against scikit-learn and where it cannot be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from study_trees import STORIES, Cli, StudyFile

from brainaligner.data import open_dataset

SPLIT = {
    "counts": None,
    "train": list(STORIES[:3]),
    "validation": [STORIES[3]],
    "test": list(STORIES[4:]),
}
GRID = [1.0, 30.0, 1000.0]


def asked(**listeners: Any) -> dict[str, Any]:
    """The tiny study with one arm and a reference."""
    settings = {"shown": True, "ridge": {"alphas": GRID}} | listeners
    return {"split": SPLIT, "arms": {"second": None}, "other_listeners": settings}


def reference(out: Path) -> dict[tuple[str, int], float]:
    """Mean r by subject and cut."""
    content = json.loads((out / "tiny" / "run.json").read_text())
    return {(row["subject"], row["rows_cut"]): row["mean"] for row in content["other_listeners"]}


def by_hand(data: Path, subject: str, other: str, *, components: int, cut: int) -> float:
    """Plain ridge from the other listener, alpha by mean validation r."""
    dataset = open_dataset("folder", data)
    sides = {
        who: [
            [dataset.responses(who, s).values for s in SPLIT[side]]
            for side in ("train", "validation", "test")
        ]
        for who in (subject, other)
    }
    x = [[values.astype(float) for values in side] for side in sides[other]]
    if components < x[0][0].shape[1]:
        pca = PCA(components, svd_solver="full").fit(np.concatenate(x[0]))
        x = [[pca.transform(values) for values in side] for side in x]
    scale = np.sqrt(np.mean(np.concatenate(x[0]) ** 2))
    train, validation, test = ([values / scale for values in side] for side in x)
    y = sides[subject]
    best, found = -2.0, 0.0
    for alpha in GRID:
        model = Ridge(alpha=alpha, fit_intercept=False, solver="svd")
        model.fit(np.concatenate(train), np.concatenate(y[0]))
        scored = _mean_r(model.predict(np.concatenate(validation)), np.concatenate(y[1]))
        if scored > best:
            best = scored
            rows = slice(cut, -cut or None)
            predicted = np.concatenate([model.predict(values)[rows] for values in test])
            found = _mean_r(predicted, np.concatenate([values[rows] for values in y[2]]))
    return found


def _mean_r(predicted: np.ndarray, measured: np.ndarray) -> float:
    pairs = zip(predicted.T, measured.T, strict=True)
    return float(np.mean([np.corrcoef(p, m)[0, 1] for p, m in pairs]))


@pytest.mark.parametrize("components", [200, 3])
def test_it_is_a_plain_ridge_from_the_other_listener(
    cli: Cli, study_file: StudyFile, sound_data: Path, tmp_path: Path, components: int
) -> None:
    done = cli("run", study_file(asked(components=components)), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = reference(tmp_path / "out")
    assert set(found) == {(s, cut) for s in ("P1", "P2") for cut in (0, 5)}
    for (subject, cut), r in found.items():
        other = "P2" if subject == "P1" else "P1"
        wanted = by_hand(sound_data, subject, other, components=components, cut=cut)
        assert r == pytest.approx(wanted, abs=2e-5)
    page = (tmp_path / "out" / "tiny" / "report.html").read_text()
    assert page.count("not an upper bound") >= 2


@pytest.mark.parametrize(
    "changes", [{"other_listeners": {"shown": False}}, {"dataset": {"subjects": ["P1"]}}]
)
def test_it_is_left_out_where_it_is_not_wanted_or_nobody_else_is_there(
    cli: Cli, study_file: StudyFile, tmp_path: Path, changes: dict[str, Any]
) -> None:
    study = asked() | changes
    assert cli("run", study_file(study), "--out", tmp_path / "out").code == 0
    assert not reference(tmp_path / "out")
    assert "upper bound" not in (tmp_path / "out" / "tiny" / "report.html").read_text()


def test_a_listener_without_the_test_stories_gives_no_reference(
    cli: Cli, study_file: StudyFile, data: Path, tmp_path: Path
) -> None:
    with np.load(data / "P2.npz") as archive:
        kept = {name: archive[name] for name in archive.files if name != STORIES[5]}
    np.savez(data / "P2.npz", **kept)
    done = cli("run", study_file(asked(), data=data), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert {subject for subject, _ in reference(tmp_path / "out")} == {"P2"}


def test_its_recipe_names_the_other_listeners_responses(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    assert cli("run", study_file(asked()), "--out", tmp_path / "out").code == 0
    found = (tmp_path / "out" / "store" / "readout").glob("*/recipe.json")
    inputs = [set(json.loads(path.read_text())["inputs"]) for path in found]
    of_others = [names for names in inputs if any(n.startswith("other-listener/") for n in names)]
    assert len(of_others) == 2
    for names in of_others:
        assert {n for n in names if n.startswith("responses/")} == {
            f"responses/{story}" for story in STORIES[:4]
        }


def test_components_are_refused(cli: Cli, study_file: StudyFile, tmp_path: Path) -> None:
    done = cli("run", study_file(asked(components=0)), "--out", tmp_path / "out")
    assert done.code == 2
    assert "components" in done.err
