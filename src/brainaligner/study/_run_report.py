"""A finished study as the report room takes it: results, findings, settings, recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from brainaligner.core import Scores
from brainaligner.evaluation import (
    Audit,
    CeilingSummary,
    Finding,
    ceiling_summary,
    find_warnings,
)
from brainaligner.report import Result, RunReport
from brainaligner.study._audit_words import audit_findings, audit_words
from brainaligner.study._config import StudyConfig
from brainaligner.study._cross_fit import cross_fit_words
from brainaligner.study._doctor import software_versions
from brainaligner.study._files import study_yaml
from brainaligner.study._fitted import Ceilings, Fit, Fitted
from brainaligner.study._listeners import LISTENERS
from brainaligner.study._methods import study_methods
from brainaligner.study._plan import Plan
from brainaligner.study._prepare import Prepared
from brainaligner.study._tables import tuning_findings
from brainaligner.study._words import feature_words, grid_words, ridge_words, split_words


def run_report(plan: Plan, fitted: Fitted, ceilings: Ceilings, audit: Audit) -> RunReport:
    """All that tables and page of a run show."""
    prepared, config = plan.prepared, plan.prepared.config
    entries, methods = {run.name: run.entry for run in plan.runs}, study_methods(prepared)
    results = [
        Result(
            scores,
            summary,
            fit.readouts[0].alpha,
            _reference(config, entries[scores.arm], scores),
            () if fit.regions is None else fit.regions.of(scores),
            _ceiling(ceilings, scores),
            _keys(fit, ceilings, scores),
        )
        for fit in fitted.cells.values()
        for scores, summary in fit.scores.results
    ]
    return RunReport(
        title=config.title or config.name,
        study=config.name,
        about=_about(prepared),
        simulated=prepared.simulated,
        label=next(iter(prepared.division.splits.values())).label,
        results=tuple(results),
        findings=(*audit_findings(audit), *_findings(plan, fitted)),
        audit=audit_words(audit),
        settings_text=study_yaml(config),
        recipes=tuple(_recipes(fitted, ceilings)),
        methods=methods.paragraphs,
        references=methods.references,
        differences=fitted.contrasts,
        flatmaps=fitted.flatmaps,
        listeners=tuple(
            Result(
                scores,
                summary,
                fit.readouts[0].alpha,
                keys={"scores": fit.scores.recipe.key},
            )
            for fit in fitted.listeners.values()
            for scores, summary in fit.scores.results
        ),
    )


def _recipes(fitted: Fitted, ceilings: Ceilings) -> Iterator[tuple[str, str]]:
    """Name and key of every artifact that a page rests on."""
    for (arm, subject), fit in fitted.cells.items():
        yield from ((f"{arm}, {subject}: {recipe.stage}", recipe.key) for recipe in fit.recipes)
    for (subject, story), ceiling in ceilings.items():
        if ceiling.by_cut:
            yield f"{subject}, {story}: {ceiling.recipe.stage}", ceiling.recipe.key
    for (arm, subject), found in fitted.foresight.stories.items():
        yield f"{arm}, {subject}: story_scores", found.key
    for one in fitted.significance:
        yield f"{one.task.run.name}, {one.task.subject}: significance", one.task.recipe.key
    for contrast in fitted.contrasts:
        yield f"{contrast.arm}, {contrast.subject}: contrast", contrast.key
    for subject, flatmap in fitted.flatmaps.items():
        yield f"{subject}: flatmap", flatmap.key
    for subject, fit in fitted.listeners.items():
        for recipe in fit.recipes:
            yield f"{LISTENERS}, {subject}: {recipe.stage}", recipe.key


def _keys(fit: Fit, ceilings: Ceilings, scores: Scores) -> dict[str, str]:
    """Artifacts that a result's numbers stand in."""
    made = ceilings.get((scores.subject, scores.group.stories[0]))
    kinds = {
        "scores": fit.scores.recipe,
        "regions": None if fit.regions is None else fit.regions.recipe,
        "ceilings": made.recipe if made is not None and made.by_cut else None,
    }
    return {kind: recipe.key for kind, recipe in kinds.items() if recipe is not None}


def _ceiling(ceilings: Ceilings, scores: Scores) -> CeilingSummary | None:
    """Ceilings stand beside repeated stories only."""
    if scores.group.presentations != "repeated":
        return None
    made = ceilings.get((scores.subject, scores.group.stories[0]))
    found = None if made is None else made.by_cut.get(scores.rows_cut)
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
    return (*known_findings(prepared), *tuning_findings(plan), *of_scores)


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


def known_findings(prepared: Prepared) -> tuple[Finding, ...]:
    """What is known before any work."""
    missing = (finding for task in prepared.ceilings for finding in task.findings)
    return (*prepared.division.findings, *missing)
