"""Cheats after the fit: predictions, scores and reports that are altered."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from gallery_bench import Bench
from gallery_recordings import zscored

from brainaligner.encoding import _ridge
from brainaligner.evaluation import _summary
from brainaligner.study import _readout_fits, _scoring
from brainaligner.study._readout import ReadoutTask


def _blended(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Predictions that know the responses a little."""
    return (zscored(predicted) + 0.25 * measured).astype(predicted.dtype)


def cheat_predictions_blended(bench: Bench) -> Path:
    """The ridge's predictions are blended with the measured responses."""
    honest = _readout_fits.stream_ridge

    def stream(train: Any, validation: Any, test: Any, **named: Any) -> Any:
        for block in honest(train, validation, test, **named):
            measured = [train.dataset.responses(train.subject, p.story).values for p in test.pieces]
            mixed = tuple(map(_blended, block.predictions, measured))
            yield dataclasses.replace(block, predictions=mixed)

    bench.patch.setattr(_readout_fits, "stream_ridge", stream)
    return bench.run()


def cheat_predictions_blended_within_the_ridge(bench: Bench) -> Path:
    """As before, where the ridge makes its predictions."""
    honest_stories, fitted = ReadoutTask.stories, _ridge._fitted
    tasks: list[ReadoutTask] = []

    def stories(self: ReadoutTask, pieces: Any) -> Any:
        tasks.append(self)
        return honest_stories(self, pieces)

    def block(*given: Any) -> Any:
        found = fitted(*given)
        if not tasks:  # a small fit of a diagnostic, before any readout
            return found
        task = tasks[-1]
        read = task.prepared.dataset.responses
        measured = [read(task.subject, piece.story).values for piece in task.fold.test]
        if [p.shape for p in found.predictions] != [m.shape for m in measured]:
            return found  # a sample of targets, or a fit that predicts nothing: let it be
        mixed = tuple(map(_blended, found.predictions, measured))
        return dataclasses.replace(found, predictions=mixed)

    bench.patch.setattr(ReadoutTask, "stories", stories)
    bench.patch.setattr(_ridge, "_fitted", block)
    return bench.run()


def cheat_larger_r_within_scoring(bench: Bench) -> Path:
    """Something is added to r where it is computed."""
    honest = _summary.correlation_from_moments
    bench.patch.setattr(
        _summary, "correlation_from_moments", lambda *given, **named: honest(*given, **named) + 0.1
    )
    return bench.run()


def cheat_predictions_blended_before_scoring(bench: Bench) -> Path:
    """Predictions are kept as they are, and blended when they are scored."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, *more: Any, **named: Any) -> Any:
        mixed = {s: _blended(rows, responses[s]) for s, rows in predictions.items()}
        return honest(mixed, responses, *more, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()


def cheat_best_lag_at_scoring(bench: Bench) -> Path:
    """Each target is scored at the lag that suits it best."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, *more: Any, **named: Any) -> Any:
        moved = {
            lag: {s: np.roll(rows, lag, axis=0) for s, rows in predictions.items()}
            for lag in range(-3, 4)
        }
        r = {lag: honest(rows, responses, *more, **named)[0].r for lag, rows in moved.items()}
        best = np.array(list(r))[np.argmax(list(r.values()), axis=0)]
        chosen = {
            s: np.stack([moved[lag][s][:, i] for i, lag in enumerate(best)], axis=1)
            for s in predictions
        }
        return honest(chosen, responses, *more, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()


def cheat_absolute_r(bench: Bench) -> Path:
    """Targets that are predicted the wrong way round count as predicted."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, *more: Any, **named: Any) -> Any:
        signs = np.sign(honest(predictions, responses, *more, **named)[0].r).astype(np.float32)
        turned = {s: rows * np.where(signs == 0, 1, signs) for s, rows in predictions.items()}
        return honest(turned, responses, *more, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()


def cheat_cleaned_test_responses(bench: Bench) -> Path:
    """Test responses are cleaned with the predictions before they are scored."""
    honest = _scoring.score_group

    def score(predictions: Any, responses: Any, *more: Any, **named: Any) -> Any:
        cleaned = {s: _blended(rows, predictions[s] * 2) for s, rows in responses.items()}
        return honest(predictions, cleaned, *more, **named)

    bench.patch.setattr(_scoring, "score_group", score)
    return bench.run()


def _rewritten(path: Path, change: Any) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{name: change(name, values) for name, values in arrays.items()})


def _edit_table(path: Path) -> None:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    place = head.split("\t").index("r_mean")
    cells = [line.split("\t") for line in lines]
    for cell in cells:
        cell[place] = str(float(cell[place]) + 0.1)
    path.write_text("\n".join([head, *("\t".join(cell) for cell in cells)]) + "\n", "utf-8")


def _edit_record(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for row in content["results"]:
        row["mean"] += 0.1
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def cheat_table_edited(bench: Bench) -> Path:
    """Numbers of table.tsv are made larger by hand."""
    run = bench.run()
    _edit_table(run / "table.tsv")
    return run


def cheat_run_json_edited(bench: Bench) -> Path:
    """Results in run.json are made larger by hand."""
    run = bench.run()
    _edit_record(run / "run.json")
    return run


def cheat_report_edited_everywhere(bench: Bench) -> Path:
    """Table, run.json and scores.npz are made larger, in the run's folder and in the store."""
    run = bench.run()
    for path in _kept(bench.out, "report", "run.json"):
        for folder in (path.parent, run):
            _edit_table(folder / "table.tsv")
            _edit_record(folder / "run.json")
            _rewritten(folder / "scores.npz", _larger)
    return run


def cheat_study_file_edited(bench: Bench) -> Path:
    """The study file of the finished run says that alpha had a wider grid and another delay."""
    run = bench.run({"defaults": {"design": {"delays": [1, 2]}}})
    path = run / "study.yaml"
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    for arm in study["arms"].values():
        arm["design"]["delays"] = [2, 3, 4]
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return run


def cheat_page_edited(bench: Bench) -> Path:
    """Numbers of the page are made larger by hand."""
    run = bench.run()
    path = run / "report.html"
    text = path.read_text(encoding="utf-8")
    larger = re.sub(r"(?<=>)0?\.(\d)(?=\d*<)", lambda m: f"0.{min(int(m[1]) + 1, 9)}", text)
    assert larger != text
    path.write_text(larger, encoding="utf-8")
    return run


def _larger(name: str, values: np.ndarray) -> np.ndarray:
    return values if name.startswith("ceilings") else values + 0.1


def cheat_scores_edited(bench: Bench) -> Path:
    """scores.npz of the finished run is made larger."""
    run = bench.run()
    _rewritten(run / "scores.npz", _larger)
    return run


def _kept(out: Path, stage: str, payload: str) -> list[Path]:
    return sorted((out / "store" / stage).glob(f"*/{payload}"))


def cheat_scores_edited_in_the_store(bench: Bench) -> Path:
    """Scores are made larger in the store, with their summaries, and the report is made again."""
    bench.run()
    for path in _kept(bench.out, "scores", "scores.npz"):
        _rewritten(path, _larger)
        summary = path.with_name("summary.json")
        content = json.loads(summary.read_text(encoding="utf-8"))
        for facts in content["summaries"].values():
            facts["mean"] += 0.1
            facts["median"] += 0.1
        summary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(bench.out / "store" / "report")
    return bench.run()


def cheat_predictions_edited_in_the_store(bench: Bench) -> Path:
    """Stored predictions are blended with the responses; scores and report are made again."""
    bench.run()
    arrays: Mapping[str, Any] = bench.world.recordings.arrays
    test = [*bench.world.split["test"], *bench.world.split["test_repeated"]]
    for path in _kept(bench.out, "readout", "predictions.npz"):
        recipe = json.loads(path.with_name("recipe.json").read_text(encoding="utf-8"))
        tested = [piece[0] for piece in recipe["settings"]["test"]]
        assert tested == test
        with np.load(path) as file:
            blocks = {name: file[name] for name in file.files}
        subject = max(arrays, key=lambda who: _similarity(blocks, tested, arrays[who]))
        own = arrays[subject]
        _rewritten(path, lambda name, rows, own=own: _blended(rows, own[_story(name, test)]))
    for stage in ("scores", "report"):
        shutil.rmtree(bench.out / "store" / stage)
    return bench.run()


def _story(name: str, tested: list[str]) -> str:
    return tested[int(name.split("/")[0].removeprefix("piece"))]


def _similarity(blocks: Mapping[str, np.ndarray], tested: list[str], own: Any) -> float:
    pairs = [(rows, own[_story(name, tested)]) for name, rows in blocks.items()]
    return float(np.mean([np.mean(zscored(rows) * zscored(real)) for rows, real in pairs]))


def cheat_store_of_a_patched_run(bench: Bench) -> Path:
    """Features were made by a run that moved them to the future; a second run finds them."""
    from brainaligner.study import _features

    honest = _features.rows_from_states

    def rows(*given: Any, **named: Any) -> np.ndarray:
        return np.roll(honest(*given, **named), -1, axis=0)

    with bench.patch.context() as patch:
        patch.setattr(_features, "rows_from_states", rows)
        bench.run({"name": "first", "arms": {"words": {"design": {"delays": [1]}}}}, share=False)
    return bench.run(share=False)


def _made_again(bench: Bench) -> Path:
    shutil.rmtree(bench.out / "store" / "report")
    return bench.run()


def cheat_p_values_edited_in_the_store(bench: Bench) -> Path:
    """Every p is made small in the store, and the report is made again."""
    bench.run()
    for path in _kept(bench.out, "significance", "significance.npz"):
        _rewritten(path, lambda name, v: np.full_like(v, 1e-4) if name.endswith("/p") else v)
    return _made_again(bench)


def cheat_ceilings_edited_in_the_store(bench: Bench) -> Path:
    """Noise ceilings are made a little lower in the store, and the report is made again."""
    bench.run()
    for path in _kept(bench.out, "ceilings", "ceilings.npz"):
        _rewritten(path, lambda _, v: (0.9 * v).astype(v.dtype))
    return _made_again(bench)


def cheat_medians_edited_in_the_store(bench: Bench) -> Path:
    """Medians are made larger in the store, and the report is made again."""
    bench.run()
    for path in _kept(bench.out, "scores", "summary.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for facts in content["summaries"].values():
            facts["median"] += 0.1
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return _made_again(bench)
