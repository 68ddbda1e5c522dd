"""What a run leaves for people: table, scores, page, and what they were made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brainaligner.core import Scores, array_digest
from brainaligner.evaluation import (
    Audit,
    CeilingSummary,
    Finding,
    ceiling_summary,
    find_warnings,
)
from brainaligner.report import Result, RunReport, regions_tsv, render_page, table_tsv
from brainaligner.study._audit_words import audit_findings, audit_record, audit_words
from brainaligner.study._ceiling_stage import StoryCeilings
from brainaligner.study._ceilings import MEASURES
from brainaligner.study._config import StudyConfig
from brainaligner.study._cross_fit import cross_fit_words
from brainaligner.study._dataset_config import SIMULATED
from brainaligner.study._disk import replace_file, write_npz
from brainaligner.study._doctor import software_versions
from brainaligner.study._files import study_yaml
from brainaligner.study._judged import Looks
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._plan import Plan
from brainaligner.study._prepare import Prepared
from brainaligner.study._readout import Readout
from brainaligner.study._record import run_record
from brainaligner.study._region_files import region_digests
from brainaligner.study._region_stage import ArmRegions
from brainaligner.study._scoring import ArmScores, base_name
from brainaligner.study._settings import plain
from brainaligner.study._significance import ArmSignificance
from brainaligner.study._significance_tables import (
    P_VALUES,
    SIGNIFICANCE,
    Counted,
    save_significances,
)
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tables import more_tables, tuning_findings
from brainaligner.study._tuning import TuningFacts
from brainaligner.study._words import feature_words, grid_words, ridge_words, split_words

VERSION = 4
FILES = (
    *("study.yaml", "scores.npz", P_VALUES, "table.tsv", SIGNIFICANCE, "regions.tsv"),
    *("report.html", "run.json"),
)


@dataclass(frozen=True, eq=False)
class Fit:
    """One arm in one subject.

    Parameters
    ----------
    readouts : sequence of Readout
        One for each fold.
    scores : ArmScores
    regions : ArmRegions, optional
        None where the study names no regions.
    """

    readouts: Sequence[Readout]
    scores: ArmScores
    regions: ArmRegions | None

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What it was made of, in the order in which it was made."""
        last = () if self.regions is None else (self.regions.recipe,)
        return (*(readout.recipe for readout in self.readouts), self.scores.recipe, *last)


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that a finished study has found.

    Parameters
    ----------
    cells : mapping of (run, subject) to Fit
    tunings : tuple of TuningFacts
    listeners : mapping of subject to Fit
        The other-listener reference, where there is one.
    significance : tuple of ArmSignificance
        Tests of each target, of all arms.
    """

    cells: Mapping[tuple[str, str], Fit]
    tunings: tuple[TuningFacts, ...] = ()
    listeners: Mapping[str, Fit] = field(default_factory=dict)
    significance: tuple[ArmSignificance, ...] = ()


Ceilings = Mapping[tuple[str, str], StoryCeilings]


def write_outputs(
    plan: Plan,
    fitted: Fitted,
    ceilings: Ceilings,
    looks: Looks,
    *,
    store: Store,
    folder: Path,
) -> None:
    """Make the report (once for each content) and put its files into the run's folder.

    Parameters
    ----------
    plan : Plan
    fitted : Fitted
    ceilings : mapping of (subject, story) to StoryCeilings
    looks : Looks
        Diagnostics and further tables.
        With any fault of its audit, page, tables and scores say that they are not valid.
    store : Store
    folder : Path
        The run's folder. Files that would not change are left alone; a table of regions
        that another run left goes where there are none.
    """
    recipe = _report_recipe(plan.prepared, fitted, ceilings, looks)
    made = store.ensure(recipe, lambda target: _write_files(target, plan, fitted, ceilings, looks))
    for name in FILES:
        target = folder / name
        if not (made / name).exists():
            target.unlink(missing_ok=True)
            continue
        content = (made / name).read_bytes()
        if not (target.is_file() and target.read_bytes() == content):
            replace_file(target, content)


def _report_recipe(prepared: Prepared, fitted: Fitted, ceilings: Ceilings, looks: Looks) -> Recipe:
    settings = {
        "study": plain(prepared.config),
        "findings": plain(_known_findings(prepared)),
        "spaces": _places(prepared),
        "tunings": plain(fitted.tunings),
        "looks": plain(looks),
        "regions": {
            subject: region_digests(regions) for subject, regions in prepared.regions.items()
        },
    }
    inputs = {
        f"scores/{arm}/{subject}": f.scores.recipe.key for (arm, subject), f in fitted.cells.items()
    }
    inputs |= {f"other-listeners/{s}": f.scores.recipe.key for s, f in fitted.listeners.items()}
    tested = [one.task for one in fitted.significance]
    inputs |= {f"significance/{t.run.name}/{t.subject}": t.recipe.key for t in tested}
    made = {f"ceilings/{s}/{story}": found.recipe.key for (s, story), found in ceilings.items()}
    return Recipe("report", VERSION, settings, inputs | made)


def _known_findings(prepared: Prepared) -> tuple[Finding, ...]:
    """What is known before any work."""
    missing = (finding for task in prepared.ceilings for finding in task.findings)
    return (*prepared.division.findings, *missing)


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


def _write_files(
    folder: Path, plan: Plan, fitted: Fitted, ceilings: Ceilings, looks: Looks
) -> None:
    prepared, audit = plan.prepared, looks.audit
    report = _run_report(plan, fitted, ceilings, audit)
    report = replace(
        report,
        about=(*report.about, *_openings(prepared.config, looks.openings)),
        diagnostics=tuple(one.diagnostic for one in looks.diagnostics),
    )
    tested = Counted.of(fitted.significance, targets=report.targets)
    more = [*more_tables(plan, report, fitted.tunings), *tested.tables, *looks.tables]
    record = run_record(report, prepared.regions, more=more, tunings=fitted.tunings)
    record["audit"] = audit_record(audit)
    record["openings"] = looks.openings
    record["significance"] = tested.records
    record["diagnostics"] = [
        {**plain(one.diagnostic), "recipes": list(one.recipes)} for one in looks.diagnostics
    ]
    arrays = {
        f"{scores.arm}/{scores.subject}/{base_name(scores.group.name, scores.rows_cut)}": scores.r
        for fit in fitted.cells.values()
        for scores, _ in fit.scores.results
    }
    stamp = {"NOT VALID": np.array(audit.reason)} if audit.faults else {}
    write_npz(folder / "scores.npz", arrays | _ceiling_arrays(ceilings) | stamp)
    if fitted.significance:
        save_significances(folder / P_VALUES, fitted.significance)
    texts = {
        "report.html": render_page(report, more=more),
        "table.tsv": table_tsv(report),
        SIGNIFICANCE: tested.tsv,
        "regions.tsv": regions_tsv(report),
        "run.json": json.dumps(record, indent=1) + "\n",
        "study.yaml": study_yaml(prepared.config),
    }
    for name, text in texts.items():
        if text:
            (folder / name).write_text(text, encoding="utf-8")


def _openings(config: StudyConfig, count: int) -> tuple[tuple[str, str], ...]:
    """How often these test stories were looked at, for the reader."""
    noun = "configuration" if count == 1 else "configurations"
    seen = ("test stories scored by", f"{count} {noun}, this one among them")
    confirms = ("confirms", f"{config.confirms}, on stories that were never scored")
    return (seen,) if config.confirms is None else (confirms, seen)


def _ceiling_arrays(ceilings: Ceilings) -> dict[str, np.ndarray]:
    return {
        f"ceilings/{subject}/{base_name(story, cut)}/{measure}": getattr(ceiling, measure)
        for (subject, story), found in ceilings.items()
        for cut, ceiling in found.by_cut.items()
        for measure in MEASURES
    }


def _run_report(plan: Plan, fitted: Fitted, ceilings: Ceilings, audit: Audit) -> RunReport:
    prepared, config = plan.prepared, plan.prepared.config
    entries = {run.name: run.entry for run in plan.runs}
    results = [
        Result(
            scores,
            summary,
            fit.readouts[0].alpha,
            _reference(config, entries[scores.arm], scores),
            () if fit.regions is None else fit.regions.of(scores),
            _ceiling(ceilings, scores),
        )
        for fit in fitted.cells.values()
        for scores, summary in fit.scores.results
    ]
    recipes = [
        (f"{arm}, {subject}: {recipe.stage}", recipe.key)
        for (arm, subject), fit in fitted.cells.items()
        for recipe in fit.recipes
    ]
    recipes += [
        (f"{subject}, {story}: {found.recipe.stage}", found.recipe.key)
        for (subject, story), found in ceilings.items()
        if found.by_cut
    ]
    recipes += [
        (f"{one.task.run.name}, {one.task.subject}: significance", one.task.recipe.key)
        for one in fitted.significance
    ]
    recipes += [
        (f"{LISTENERS}, {subject}: {recipe.stage}", recipe.key)
        for subject, fit in fitted.listeners.items()
        for recipe in fit.recipes
    ]
    return RunReport(
        title=config.title or config.name,
        study=config.name,
        about=_about(prepared),
        simulated=config.dataset.reader == SIMULATED,
        label=next(iter(prepared.division.splits.values())).label,
        results=tuple(results),
        findings=(*audit_findings(audit), *_findings(plan, fitted)),
        audit=audit_words(audit),
        settings_text=study_yaml(config),
        recipes=tuple(recipes),
        listeners=tuple(
            Result(scores, summary, fit.readouts[0].alpha)
            for fit in fitted.listeners.values()
            for scores, summary in fit.scores.results
        ),
    )


def _ceiling(ceilings: Ceilings, scores: Scores) -> CeilingSummary | None:
    """Ceilings stand beside repeated stories only."""
    if scores.group.presentations != "repeated":
        return None
    found = ceilings[scores.subject, scores.group.stories[0]].by_cut.get(scores.rows_cut)
    return None if found is None else ceiling_summary(scores, found)


def _reference(config: StudyConfig, entry: str, scores: Scores) -> float | None:
    """Reference numbers stand beside whole stories only."""
    reference = config.arms[entry].reference.get(scores.group.name, {})
    return reference.get(scores.subject) if scores.rows_cut == 0 else None


def _findings(plan: Plan, fitted: Fitted) -> tuple[Finding, ...]:
    prepared = plan.prepared
    summaries = [summary for fit in fitted.cells.values() for _, summary in fit.scores.results]
    edges = {}
    replaced: dict[str, dict[str, int]] = {subject: {} for subject in prepared.division.splits}
    for (arm, subject), fit in fitted.cells.items():
        texts = [readout.edge for readout in fit.readouts if readout.edge]
        if texts:
            edges[f"{arm}, {subject}"] = texts[0]
        for found in (fit.scores.replaced, *(readout.replaced for readout in fit.readouts)):
            replaced[subject].update(found)  # each story counts once, however often it is read
    totals = {subject: sum(counts.values()) for subject, counts in replaced.items()}
    of_scores = find_warnings(summaries, edges=edges, replaced=totals)
    return (*_known_findings(prepared), *tuning_findings(plan), *of_scores)


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
        "cross-fitting": cross_fit_words(config),
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
