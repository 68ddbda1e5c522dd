"""What the audit makes again: projections, folds, bands, penalties. Each falsified once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
from study_trees import merged, save_own_data, save_study, tiny_study
from test_study_reduced_rank import RANKS, TALES, changes

from brainaligner.data import Dataset
from brainaligner.evaluation import Audit
from brainaligner.study import RunOptions, audit_run, load_study, run_study
from brainaligner.study import _projection as projection_stage

BANDS = {"n_iter": 4, "alphas": [1.0, 10.0, 100.0]}
BOTH = {"features": ["one", "two"]}
ARMS: dict[str, Any] = {
    "standardised": BOTH | {"ridge": {"intercept": True, "scaling": "training"}},
    "by-rows": BOTH | {"ridge": {"form": "dual", "selection": "leave_story_out"}},
    "bands": BOTH | {"banded": BANDS | {"intercept": True}, "design": {"nuisance": "with"}},
    "bands-left-out": BOTH | {"banded": BANDS | {"selection": "leave_story_out"}},
}
PROJECTIONS: dict[str, Any] = {
    "chosen": RANKS,
    "whole": RANKS | {"form": "one-stage"},
    "folds": RANKS | {"cross_fit": 3},
}
Edit = Callable[[Path], None]
"""What is done to a finished run's folder of artifacts, one arm's alone."""


@pytest.fixture(autouse=True, scope="module")
def without_checks() -> Iterator[None]:
    """Annotation checks off: they take longer than such small studies."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def _study(checkpoint: Path, data: Path, **more: Any) -> dict[str, Any]:
    asked = merged(changes(**PROJECTIONS), {"arms": ARMS | more})
    asked["dataset"] = {"subjects": ["P1", "P2"]}
    return merged(tiny_study(checkpoint, data), asked)


def _run(folder: Path, study: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = save_study(folder / "study.yaml", dict(study))
    return run_study(load_study(str(path)), RunOptions(folder / "out", threads=1))


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine stories, two subjects."""
    return save_own_data(tmp_path_factory.mktemp("nine") / "data", stories=TALES)


@pytest.fixture(scope="module")
def honest(checkpoint: Path, nine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of every form. Tests must not change it."""
    return _run(tmp_path_factory.mktemp("again"), _study(checkpoint, nine))


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy, to falsify."""
    return shutil.copytree(honest.parent, tmp_path / "out") / honest.name


def _named(audit: Audit) -> set[str]:
    return {fault.name for fault in audit.faults}


@pytest.mark.parametrize("thorough", [True, False])
def test_every_form_is_made_again_and_none_is_accused(honest: Path, thorough: bool) -> None:
    audit = audit_run(honest, thorough=thorough)
    assert not audit.faults, audit.faults
    left = {one.name for one in audit.unproven}
    always = {"near-rows", "judgements"}
    assert left == (always if thorough else always | {"choice", "significance"})
    assert "penalties and predictions of a sample of targets were computed again" in audit.proven
    assert "designs that entered follow from stored features and words" in audit.proven


def _artifacts(run: Path, stage: str, arm: str) -> list[Path]:
    """Artifacts of a stage that an arm's scores come from."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    store, found = run.parent / "store", []
    waiting = [key for name, key in record["recipes"].items() if name.startswith(f"{arm}, ")]
    seen: set[str] = set()
    while waiting:
        key = waiting.pop()
        for path in () if key in seen else store.glob(f"*/{key}/recipe.json"):
            recipe = json.loads(path.read_text(encoding="utf-8"))
            if recipe["stage"] == "contrast":
                continue  # it comes from two arms
            waiting += recipe["inputs"].values()
            found += [path.parent] if recipe["stage"] == stage else []
        seen.add(key)
    assert found, f"no {stage} of {arm}"
    return found


def _rewritten(path: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{name: change(name, values) for name, values in arrays.items()})


def _noisy(prefix: str, share: float) -> Callable[[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if not name.startswith(prefix):
            return values
        noise = rng.standard_normal(values.shape) * share * values.std()
        return (values + noise).astype(values.dtype)

    return change


def _array(stage: str, file: str, prefix: str, share: float = 0.5) -> Callable[[Path, str], None]:
    def edit(run: Path, arm: str) -> None:
        for folder in _artifacts(run, stage, arm):
            _rewritten(folder / file, _noisy(prefix, share))

    return edit


def _table(change: Callable[[np.ndarray, np.ndarray], np.ndarray], stage: str = "readout") -> Any:
    """Change validation scores: from the table and the number of the chosen row."""
    files = {"readout": "alpha.npz", "projection": "projection.npz"}

    def edit(run: Path, arm: str) -> None:
        for folder in _artifacts(run, stage, arm):
            with np.load(folder / files[stage]) as file:
                arrays = {name: file[name] for name in file.files}
            r = arrays["validation_r"]
            best = np.arange(len(r)) == int(r.mean(axis=1).argmax())
            arrays["validation_r"] = change(r, best).astype(r.dtype)
            np.savez(folder / files[stage], **arrays)

    return edit


def _lower_others(r: np.ndarray, best: np.ndarray) -> np.ndarray:
    return np.where(best[:, None], r, r - 0.1)


def _higher(r: np.ndarray, best: np.ndarray) -> np.ndarray:
    return r + 0.1


def _other_alpha(run: Path, arm: str) -> None:
    """Another alpha of the grid, and a table in which it is the best."""
    for folder in _artifacts(run, "readout", arm):
        with np.load(folder / "alpha.npz") as file:
            arrays = {name: file[name] for name in file.files}
        place = (np.searchsorted(arrays["alphas"], arrays["alpha"][0]) + 1) % len(arrays["alphas"])
        arrays["alpha"] = np.full_like(arrays["alpha"], arrays["alphas"][place])
        arrays["validation_r"] = arrays["validation_r"].copy()
        arrays["validation_r"][place] = arrays["validation_r"].max(axis=0) + 0.05
        np.savez(folder / "alpha.npz", **arrays)


def _other_shares(run: Path, arm: str) -> None:
    """Shares that nobody drew."""

    def change(name: str, values: np.ndarray) -> np.ndarray:
        return values + 0.3 * np.arange(len(values))[:, None] if name == "deltas" else values

    for folder in _artifacts(run, "readout", arm):
        _rewritten(folder / "alpha.npz", change)


def _other_rank(run: Path, arm: str) -> None:
    for folder in _artifacts(run, "projection", arm):
        facts = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
        ranks = RANKS["rank"]
        facts["rank"] = ranks[1 - ranks.index(facts["rank"])]
        (folder / "choice.json").write_text(json.dumps(facts), encoding="utf-8")


def _decompositions(run: Path, arm: str) -> None:
    for path in (run.parent / "store" / "decomposition").glob("*/decomposition.npz"):
        _rewritten(path, _noisy("eigenvalues", 0.3))


def _without_record(run: Path, arm: str) -> None:
    for folder in _artifacts(run, "projection", arm):
        (folder / "witness.npz").unlink()


PREDICTED, CHOSEN = "predictions-not-reproduced", "choice-not-reproduced"
PREDICTIONS = _array("readout", "predictions.npz", "piece")
WEIGHTS = _array("projection", "projection.npz", "weights", 0.2)

FALSIFIED: dict[str, tuple[str, Any, str]] = {
    "projection": ("chosen", WEIGHTS, PREDICTED),
    "projection of folds": ("folds", WEIGHTS, PREDICTED),
    "one-stage projection": ("whole", WEIGHTS, PREDICTED),
    "one-stage predictions": ("whole", PREDICTIONS, PREDICTED),
    "predictions from a projection": ("chosen", PREDICTIONS, PREDICTED),
    "predictions of folds": ("folds", PREDICTIONS, PREDICTED),
    "banded predictions": ("bands", PREDICTIONS, PREDICTED),
    "standardised predictions": ("standardised", PREDICTIONS, PREDICTED),
    "scores of ranks, raised": ("chosen", _table(_higher, "projection"), CHOSEN),
    "scores of ranks in folds, raised": ("folds", _table(_higher, "projection"), CHOSEN),
    "scores of one-stage ranks, raised": ("whole", _table(_higher, "projection"), CHOSEN),
    "rank": ("folds", _other_rank, PREDICTED),
    "scores of shares": ("bands", _table(_higher), CHOSEN),
    "shares": ("bands", _other_shares, CHOSEN),
    "alpha": ("standardised", _other_alpha, CHOSEN),
    "alpha by stories left out": ("by-rows", _other_alpha, CHOSEN),
    "record": ("chosen", _without_record, "unwitnessed"),
}


def _contrast_facts(run: Path, **changes: Any) -> str:
    """Change what a contrast says; the arm that it is of."""
    recipes = sorted((run.parent / "store" / "contrast").glob("*/recipe.json"))
    path = recipes[0].with_name("contrast.json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(facts | changes), encoding="utf-8")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (arm,) = (one["arm"] for one in record["contrasts"] if one["recipe"] == path.parent.name)
    return str(arm)


def test_a_verdict_that_does_not_follow_is_named(run: Path) -> None:
    arm = _contrast_facts(run, difference=0.5)
    _rewritten(
        next((run.parent / "store" / "contrast").glob("*/targets.npz")),
        lambda name, values: values + 0.3 if name == "difference" else values,
    )
    audit = audit_run(run, thorough=False)
    assert _named(audit) == {"scores-not-reproduced"}
    assert any(one.where.startswith(f"{arm}, ") for one in audit.faults)
    assert all(one.where.endswith(": contrast") for one in audit.faults)


def test_an_interval_of_a_verdict_is_made_again_by_a_thorough_audit(run: Path) -> None:
    recipes = sorted((run.parent / "store" / "contrast").glob("*/recipe.json"))
    stored = json.loads(recipes[0].with_name("contrast.json").read_text(encoding="utf-8"))
    arm = _contrast_facts(run, interval=stored["interval"] | {"low": 0.4, "high": 0.6})
    assert not audit_run(run, thorough=False).faults
    faults = audit_run(run, thorough=True).faults
    assert {(one.name, one.figure) for one in faults} == {("scores-not-reproduced", "interval")}
    assert all(one.where.startswith(f"{arm}, ") for one in faults)


@pytest.mark.parametrize("what", FALSIFIED)
def test_what_was_falsified_is_named(run: Path, what: str) -> None:
    arm, edit, name = FALSIFIED[what]
    edit(run, arm)
    audit = audit_run(run, thorough=False)
    assert name in _named(audit)
    assert {f.where.split(",")[0] for f in audit.faults} <= {arm, "elsewhere"}


def test_falsified_decompositions_are_named(run: Path) -> None:
    _decompositions(run, "")
    audit = audit_run(run, thorough=False)
    assert "features-not-reproduced" in _named(audit)
    reached = {f.where.split(",")[0] for f in audit.faults}
    assert {"chosen", "whole", "folds"} <= reached
    assert not reached & {"bands", "bands-left-out"}


@pytest.mark.parametrize("arm", ["chosen", "folds", "whole"])
def test_ranks_that_were_made_to_look_worse_are_named_by_the_thorough_audit(
    run: Path, arm: str
) -> None:
    _table(_lower_others, "projection")(run, arm)
    assert not audit_run(run, thorough=False).faults
    assert CHOSEN in _named(audit_run(run, thorough=True))


def _swapped(monkeypatch: pytest.MonkeyPatch, inside: list[bool], into: str, source: str) -> None:
    """Have one story bring another's responses wherever `inside` is not empty."""
    reads = Dataset.responses

    def responses(self: Dataset, subject: str, story: str, targets: slice = slice(None)) -> Any:
        return reads(self, subject, source if inside and story == into else story, targets)

    monkeypatch.setattr(Dataset, "responses", responses)


@pytest.mark.parametrize("kind", ["fixed", "folds", "whole"])
def test_test_stories_in_a_projection_are_named(
    checkpoint: Path, nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One story's responses are a test story's while the projection is fitted, and only then."""
    asked = {"fixed": {"rank": [3], "alpha": [100]}} | PROJECTIONS
    study = merged(tiny_study(checkpoint, nine), changes(**{kind: asked[kind]}))
    study["arms"] = {kind: study["arms"][kind]}
    inside: list[bool] = []
    _swapped(monkeypatch, inside, "cedar", "iris")
    honest_fit = projection_stage.fit_reduced_rank

    def fit(*given: Any, **named: Any) -> Any:
        inside.append(True)
        try:
            return honest_fit(*given, **named)
        finally:
            inside.clear()

    monkeypatch.setattr(projection_stage, "fit_reduced_rank", fit)
    run = _run(tmp_path, study)
    monkeypatch.undo()
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert "test-rows-in-fit" in {fault["name"] for fault in record["audit"]["faults"]}
    found = _named(audit_run(run, thorough=False))
    assert {"test-rows-in-fit", "responses-not-the-dataset", PREDICTED} <= found


def test_ranks_chosen_on_test_stories_are_named(
    checkpoint: Path, nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks and alphas are scored on a test story in the validation story's place."""
    study = merged(tiny_study(checkpoint, nine), changes(chosen=RANKS))
    study["arms"] = {"chosen": study["arms"]["chosen"]}
    inside: list[bool] = []
    _swapped(monkeypatch, inside, "grape", "iris")
    honest_r = projection_stage.second_stage_r

    def scored(*given: Any, **named: Any) -> float:
        inside.append(True)
        try:
            return honest_r(*given, **named)
        finally:
            inside.clear()

    monkeypatch.setattr(projection_stage, "second_stage_r", scored)
    run = _run(tmp_path, study)
    monkeypatch.undo()
    assert {"chosen-on-test", CHOSEN} <= _named(audit_run(run, thorough=True))
