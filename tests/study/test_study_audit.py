"""The audit of tiny studies: honest, tampered with, damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_trees import STORIES, Cli, StudyFile, save_own_data

from brainaligner.evaluation import FAULTS, WARNINGS
from brainaligner.study import _scoring, audit_run

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def _run_json(out: Path) -> dict[str, Any]:
    return json.loads((out / "tiny" / "run.json").read_text(encoding="utf-8"))


def _rewritten(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{name: change(values) for name, values in arrays.items()})


def _recipe(out: Path, name: str) -> str:
    """Key of one of the artifacts that the scores come from; the store holds others too."""
    key: str = _run_json(out)["recipes"][name]
    return key


def _names(out: Path) -> set[str]:
    return {fault.name for fault in audit_run(out / "tiny").faults}


def test_an_honest_run_says_that_it_passed(finished: Path) -> None:
    record = _run_json(finished)
    assert record["audit"]["faults"] == []
    assert record["audit"]["verdict"] in ("PASS", "WARN")
    assert record["audit"]["proven"]
    by_number = {d["number"]: d for d in record["diagnostics"]}
    assert by_number[4]["verdict"] == "PASS"
    assert by_number[1]["verdict"] != "NOT RUN"
    assert "NOT VALID" not in (finished / "tiny" / "report.html").read_text(encoding="utf-8")


def test_the_command_audits_a_finished_run(cli: Cli, finished: Path) -> None:
    done = cli("audit", finished / "tiny", "--json")
    assert done.code == 0, done.out + done.err
    found = json.loads(done.out)
    assert found["faults"] == []
    assert found["proven"]


@pytest.fixture
def tampered(out: Path) -> Path:
    """Predictions were changed in the store, and what follows from them was thrown away."""
    for path in (out / "store" / "readout").glob("*/predictions.npz"):
        _rewritten(
            path, lambda rows: rows + np.linspace(0, 2, len(rows), dtype=rows.dtype)[:, None]
        )
    for stage in ("scores", "report"):
        shutil.rmtree(out / "store" / stage)
    return out


def test_a_tampered_run_is_stamped_and_ends_with_its_own_code(
    cli: Cli, study_file: StudyFile, tampered: Path
) -> None:
    done = cli("run", study_file(), "--out", tampered)
    assert done.code == 4, done.err
    folder = tampered / "tiny"
    named = {fault["name"] for fault in _run_json(tampered)["audit"]["faults"]}
    assert named == {"predictions-not-reproduced", "scores-not-reproduced"}  # a difference, too
    assert "NOT VALID: predictions-not-reproduced" in (folder / "report.html").read_text("utf-8")
    head, *lines = (folder / "table.tsv").read_text("utf-8").splitlines()
    place = head.split("\t").index("audit")
    assert all(line.split("\t")[place].startswith("NOT VALID") for line in lines)
    with np.load(folder / "scores.npz") as file:
        assert "predictions-not-reproduced" in str(file["NOT VALID"])
    again = cli("audit", folder, "--json")
    assert again.code == 4
    found = {fault["name"] for fault in json.loads(again.out)["faults"]}
    assert named <= found <= named | {"scores-not-reproduced"}  # p follows from them as well


def _edit_table(folder: Path) -> None:
    text = (folder / "table.tsv").read_text(encoding="utf-8")
    place = text.splitlines()[0].split("\t").index("r_mean")
    cells = [line.split("\t") for line in text.splitlines()]
    cells[1][place] = str(float(cells[1][place]) + 0.1)
    (folder / "table.tsv").write_text("\n".join(map("\t".join, cells)) + "\n", encoding="utf-8")


def _edit_record(folder: Path) -> None:
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    content["results"][0]["mean"] += 0.1
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")


def _edit_scores(folder: Path) -> None:
    _rewritten(folder / "scores.npz", lambda r: r + 0.1)


def _edit_page(folder: Path) -> None:
    page = folder / "report.html"
    page.write_text(page.read_text("utf-8") + "<p>r = 0.9</p>", encoding="utf-8")


@pytest.mark.parametrize("edit", [_edit_table, _edit_record, _edit_scores, _edit_page])
def test_edited_results_are_named(out: Path, edit: Callable[[Path], None]) -> None:
    edit(out / "tiny")
    assert _names(out) == {"scores-not-reproduced"}


@pytest.mark.parametrize("edit", [_edit_table, _edit_record, _edit_scores])
def test_results_edited_in_the_store_too_are_named(out: Path, edit: Callable[[Path], None]) -> None:
    edit(out / "tiny")
    (report,) = (out / "store" / "report").iterdir()
    for path in (out / "tiny").iterdir():
        if (report / path.name).exists():
            shutil.copy(path, report / path.name)
    assert _names(out) == {"scores-not-reproduced"}


def test_scores_of_other_predictions_are_named(
    cli: Cli, study_file: StudyFile, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, *more: Any, **named: Any) -> Any:
        mixed = {story: rows + 0.5 * responses[story] for story, rows in predictions.items()}
        return honest(mixed, responses, *more, **named)

    for stage in ("scores", "report"):
        shutil.rmtree(out / "store" / stage)
    with monkeypatch.context() as patch:
        patch.setattr(_scoring, "score_group", score)
        assert cli("run", study_file(), "--out", out).code == 4
    assert _names(out) == {"scores-not-reproduced"}


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")]
)
def test_a_record_that_is_gone_or_damaged_is_named(
    out: Path, damage: Callable[[Path], None]
) -> None:
    (path,) = (out / "store" / "readout" / _recipe(out, "first, P1: readout")).glob("witness.npz")
    damage(path)
    assert "unwitnessed" in _names(out)


def test_a_check_that_breaks_off_ends_no_run(
    cli: Cli, study_file: StudyFile, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brainaligner.study import _audit

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(_audit, "number_faults", broken)
    done = cli("run", study_file(), "--out", out)
    assert done.code == 0, done.err
    (warning,) = {
        (w["name"], w["figure"]) for w in _run_json(out)["audit"]["warnings"]
        if w["name"] == "check-failed"
    }  # fmt: skip
    assert warning == ("check-failed", "ZeroDivisionError")


def test_a_within_story_division_is_not_accused(
    cli: Cli, study_file: StudyFile, tmp_path: Path, data: Path
) -> None:
    save_own_data(data, stories=STORIES[:1], n_rows=90)
    changes = {"split": {"counts": None, "folds": 3, "gap": 2}, "evaluation": {"cuts": [0]}}
    done = cli("run", study_file(changes, data=data), "--out", tmp_path / "within")
    assert done.code == 0, done.err
    assert _run_json(tmp_path / "within")["audit"]["faults"] == []


def test_the_document_lists_every_fault() -> None:
    named = set(re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE))
    assert named == {*FAULTS, *WARNINGS}
