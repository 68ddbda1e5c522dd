"""What a run leaves for people: table, scores, page, and what they were made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brainaligner.core import InputError, Scores, array_digest
from brainaligner.evaluation import Finding, find_warnings
from brainaligner.report import Result, RunReport, Table, render_page, results_table, table_tsv
from brainaligner.study._config import SIMULATED, StudyConfig
from brainaligner.study._disk import replace_file, write_npz
from brainaligner.study._doctor import software_versions
from brainaligner.study._files import study_yaml
from brainaligner.study._plan import Plan
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout
from brainaligner.study._scoring import ArmScores, base_name
from brainaligner.study._settings import plain
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tables import more_tables, tuning_findings
from brainaligner.study._tuning import TuningFacts
from brainaligner.study._words import feature_words, grid_words, ridge_words, split_words

VERSION = 2
FILES = ("study.yaml", "scores.npz", "table.tsv", "report.html", "run.json")

Cells = Mapping[tuple[str, str], tuple[Sequence[Readout], ArmScores]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that a finished study has found.

    Parameters
    ----------
    cells : mapping of (run, subject) to (readouts, scores)
    tunings : tuple of TuningFacts
    """

    cells: Cells
    tunings: tuple[TuningFacts, ...] = ()


def write_outputs(plan: Plan, fitted: Fitted, *, store: Store, folder: Path) -> None:
    """Make the report (once for each content) and put its files into the run's folder.

    Parameters
    ----------
    plan : Plan
    fitted : Fitted
    store : Store
    folder : Path
        The run's folder. Files that would not change are left alone.
    """
    prepared = plan.prepared
    recipe = Recipe(
        "report",
        VERSION,
        {
            "tunings": plain(fitted.tunings),
            "study": plain(prepared.config),
            "findings": plain(prepared.division.findings),
            "spaces": _places(prepared),
        },
        {
            f"scores/{arm}/{subject}": scores.recipe.key
            for (arm, subject), (_, scores) in fitted.cells.items()
        },
    )
    made = store.ensure(recipe, lambda target: _write_files(target, plan, fitted))
    for name in FILES:
        content = (made / name).read_bytes()
        target = folder / name
        if not (target.is_file() and target.read_bytes() == content):
            replace_file(target, content)


def _places(prepared: Prepared) -> dict[str, list[object]]:
    """What the page shows of targets beside their scores: names and places on the cortex."""
    spaces = {subject: prepared.dataset.space(subject) for subject in prepared.division.splits}
    return {
        subject: [
            space.labels,
            None if space.vertices is None else array_digest(space.vertices),
        ]
        for subject, space in spaces.items()
    }


def _write_files(folder: Path, plan: Plan, fitted: Fitted) -> None:
    prepared = plan.prepared
    report = _run_report(plan, fitted)
    more = more_tables(plan, report, fitted.tunings)
    arrays = {
        f"{scores.arm}/{scores.subject}/{base_name(scores.group.name, scores.rows_cut)}": scores.r
        for _, arm_scores in fitted.cells.values()
        for scores, _ in arm_scores.results
    }
    write_npz(folder / "scores.npz", arrays)
    texts = {
        "report.html": render_page(report, more=more),
        "table.tsv": table_tsv(report),
        "run.json": json.dumps(_run_json(report, more, fitted.tunings), indent=1) + "\n",
        "study.yaml": study_yaml(prepared.config),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _run_report(plan: Plan, fitted: Fitted) -> RunReport:
    prepared, config = plan.prepared, plan.prepared.config
    entries = {run.name: run.entry for run in plan.runs}
    results = [
        Result(
            scores,
            summary,
            readouts[0].alpha,
            _reference(
                config, entries[scores.arm], scores.group.name, scores.subject, scores.rows_cut
            ),
        )
        for readouts, arm_scores in fitted.cells.values()
        for scores, summary in arm_scores.results
    ]
    recipes = [
        (f"{arm}, {subject}: {recipe.stage}", recipe.key)
        for (arm, subject), (readouts, arm_scores) in fitted.cells.items()
        for recipe in (*(readout.recipe for readout in readouts), arm_scores.recipe)
    ]
    return RunReport(
        title=config.title or config.name,
        study=config.name,
        about=_about(prepared),
        simulated=config.dataset.reader == SIMULATED,
        label=next(iter(prepared.division.splits.values())).label,
        results=tuple(results),
        findings=_findings(plan, fitted),
        settings_text=study_yaml(config),
        recipes=tuple(recipes),
    )


def _reference(config: StudyConfig, entry: str, scores: Scores) -> float | None:
    """Reference numbers stand beside whole stories only."""
    reference = config.arms[entry].reference.get(scores.group.name, {})
    return reference.get(scores.subject) if scores.rows_cut == 0 else None


def _findings(plan: Plan, fitted: Fitted) -> tuple[Finding, ...]:
    prepared = plan.prepared
    summaries = [summary for _, scores in fitted.cells.values() for _, summary in scores.results]
    edges = {}
    replaced: dict[str, dict[str, int]] = {subject: {} for subject in prepared.division.splits}
    for (arm, subject), (readouts, scores) in fitted.cells.items():
        texts = [readout.edge for readout in readouts if readout.edge]
        if texts:
            edges[f"{arm}, {subject}"] = texts[0]
        for found in (scores.replaced, *(readout.replaced for readout in readouts)):
            replaced[subject].update(found)  # each story counts once, however often it is read
    totals = {subject: sum(counts.values()) for subject, counts in replaced.items()}
    return (
        *prepared.division.findings,
        *tuning_findings(plan),
        *find_warnings(summaries, edges=edges, replaced=totals),
    )


def _about(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    config, dataset, splits = prepared.config, prepared.dataset, prepared.division.splits
    arms = config.arms.items()
    spaces = [
        f"{subject} {dataset.space(subject).size} {dataset.space(subject).kind}"
        for subject in splits
    ]
    about = {
        "dataset": config.dataset.reader,
        "targets": ", ".join(spaces),
        "stories": split_words(splits, config.split),
        "features": "; ".join(feature_words(name, f) for name, f in config.features.items()),
        "clock": "; ".join(
            _by_value({a: config.features[s.features[0]].text.clock for a, s in arms})
        ),
        "delays": "; ".join(_by_value({a: ", ".join(map(str, s.design.delays)) for a, s in arms})),
        "nuisance block Z": "; ".join(_by_value({a: s.design.nuisance for a, s in arms})),
        "ridge": "; ".join(_by_value({a: ridge_words(s) for a, s in arms})),
        "alpha grid": "; ".join(_by_value({a: grid_words(s) for a, s in arms})),
        "rows cut at each end": ", ".join(map(str, config.evaluation.cuts)),
        "software": ", ".join(f"{name} {v}" for name, v in software_versions().items()),
    }
    return tuple(about.items())


def _by_value(values: Mapping[str, str]) -> list[str]:
    """Say a value once for all arms that share it."""
    arms: dict[str, list[str]] = {}
    for arm, value in values.items():
        arms.setdefault(value, []).append(arm)
    if len(arms) == 1:
        return list(arms)
    return [f"{value} ({', '.join(names)})" for value, names in arms.items()]


def _run_json(
    report: RunReport, more: Sequence[tuple[str, Table]], tunings: Sequence[TuningFacts]
) -> dict[str, Any]:
    tables = [*(results_table(report, cut=cut) for cut in report.cuts), *(t for _, t in more)]
    return {
        "study": report.study,
        "title": report.title,
        "simulated": report.simulated,
        "label": report.label,
        "about": dict(report.about),
        "findings": [asdict(finding) for finding in report.findings],
        "tables": [
            {
                "title": t.title,
                "columns": [str(c) for c in t.columns],
                "rows": [list(row) for row in t.rows],
                "caption": t.caption,
            }
            for t in tables
        ],
        "results": [
            _without_nan(asdict(r.summary) | {"alpha": r.alpha, "reference": r.reference})
            for r in report.results
        ],
        "tunings": [_without_nan(asdict(facts)) for facts in tunings],
        "recipes": dict(report.recipes),
    }


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_run(folder: Path) -> dict[str, Any]:
    """Read what a finished run says of itself.

    Raises
    ------
    InputError
        If the folder holds no finished run, or its run.json is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise InputError(
            str(folder),
            got="no run.json in it",
            wanted="the folder of a finished run",
            do="Give a folder such as runs/demo, or run the study to its end first.",
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lacking = {"title", "label", "simulated", "findings", "results"} - set(content)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if lacking:
        raise _damaged(path, f"no {sorted(lacking)[0]!r}")
    return content


def _damaged(path: Path, fault: str) -> InputError:
    return InputError(
        str(path),
        got=f"a damaged file ({fault})",
        wanted="what a run writes",
        do="Run the study again.",
    )
