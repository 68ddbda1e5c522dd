"""What a run leaves for people: table, scores, page, and what they were made of."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from brainaligner.core import array_digest
from brainaligner.report import NOT_VALID, RunReport, regions_tsv, table_tsv
from brainaligner.study._audit_words import audit_record
from brainaligner.study._ceilings import CEILINGS, MEASURES
from brainaligner.study._contrasts import contrast_record
from brainaligner.study._curves import study_curves
from brainaligner.study._disk import replace_file, write_npz
from brainaligner.study._files import study_yaml
from brainaligner.study._fitted import Ceilings, Fitted
from brainaligner.study._foresight import foresight_record, foresight_tables
from brainaligner.study._judged import Looks
from brainaligner.study._ledger import looks_words, openings_words
from brainaligner.study._methods import study_methods
from brainaligner.study._page_record import PAGE_CONTENT, PageContent, page_arrays
from brainaligner.study._plan import Plan
from brainaligner.study._prepare import Prepared
from brainaligner.study._record import run_record, without_nan
from brainaligner.study._region_files import region_digests
from brainaligner.study._run_report import known_findings, run_report
from brainaligner.study._scoring import base_name
from brainaligner.study._settings import plain
from brainaligner.study._significance_tables import (
    P_VALUES,
    SIGNIFICANCE,
    Counted,
    save_significances,
)
from brainaligner.study._store import Recipe, Store
from brainaligner.study._tables import more_tables
from brainaligner.study._trace import recipe_notes

VERSION = 8
FILES = (
    *("study.yaml", "scores.npz", P_VALUES, "table.tsv", SIGNIFICANCE, "regions.tsv"),
    *("report.html", PAGE_CONTENT, "run.json", "methods.md"),
)


def write_outputs(
    plan: Plan,
    fitted: Fitted,
    ceilings: Ceilings,
    looks: Looks,
    *,
    store: Store,
    folder: Path,
    language: str = "en",
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
    language : str
        Of the page; all other files are in English.
    """
    recipe = _report_recipe(plan.prepared, fitted, ceilings, looks, language)
    write = partial(
        _write_files,
        plan=plan,
        fitted=fitted,
        ceilings=ceilings,
        looks=looks,
        store=store,
        language=language,
    )
    made = store.ensure(recipe, write)
    for name in FILES:
        target = folder / name
        if not (made / name).exists():
            target.unlink(missing_ok=True)
            continue
        content = (made / name).read_bytes()
        if not (target.is_file() and target.read_bytes() == content):
            replace_file(target, content)


def _report_recipe(
    prepared: Prepared, fitted: Fitted, ceilings: Ceilings, looks: Looks, language: str
) -> Recipe:
    settings = {
        "language": language,
        "study": plain(prepared.config),
        "findings": plain(known_findings(prepared)),
        "spaces": _places(prepared),
        "simulated": prepared.simulated,
        "tunings": plain(fitted.tunings),
        "looks": plain(replace(looks, compared=())),
        "compared": [
            [one.when, one.study, *one.arms, one.group, one.rows_cut] for one in looks.compared
        ],
        "foresight": without_nan(plain(fitted.foresight)),
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
    inputs |= {f"contrast/{one.arm}/{one.subject}": one.key for one in fitted.contrasts}
    inputs |= {f"flatmap/{subject}": one.key for subject, one in fitted.flatmaps.items()}
    made = {f"ceilings/{s}/{story}": found.recipe.key for (s, story), found in ceilings.items()}
    return Recipe("report", VERSION, settings, inputs | made)


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
    folder: Path,
    plan: Plan,
    fitted: Fitted,
    ceilings: Ceilings,
    looks: Looks,
    store: Store,
    language: str,
) -> None:
    prepared, audit = plan.prepared, looks.audit
    report = run_report(plan, fitted, ceilings, audit)
    report = replace(report, curves=study_curves(plan, fitted, store))
    report = replace(
        report,
        about=(*report.about, *openings_words(plan, looks.openings), *looks_words(looks.compared)),
        diagnostics=tuple(one.diagnostic for one in looks.diagnostics),
        chain=recipe_notes(store.folder, _shown_keys(report, fitted)),
    )
    tested = Counted.of(fitted.significance, targets=report.targets)
    more = [*more_tables(plan, report, fitted.tunings), *tested.tables, *looks.tables]
    more += foresight_tables(fitted.foresight, report)
    record = run_record(report, prepared.regions, more=more, tunings=fitted.tunings)
    record["audit"] = audit_record(audit)
    record["openings"] = looks.openings
    record["compared"] = [
        {**plain(one), "looked_at": sorted(one.looked_at)} for one in looks.compared
    ]
    record["foresight"] = foresight_record(fitted.foresight)
    record["significance"] = tested.records
    record["contrasts"] = [contrast_record(one) for one in fitted.contrasts]
    record["diagnostics"] = [
        {**plain(one.diagnostic), "recipes": list(one.recipes)} for one in looks.diagnostics
    ]
    arrays = {
        f"{scores.arm}/{scores.subject}/{base_name(scores.group.name, scores.rows_cut)}": scores.r
        for fit in fitted.cells.values()
        for scores, _ in fit.scores.results
    }
    stamp = {NOT_VALID: np.array(audit.reason)} if audit.faults else {}
    arrays |= _ceiling_arrays(ceilings) | stamp
    write_npz(folder / "scores.npz", arrays)
    content = PageContent(report, more)
    write_npz(folder / PAGE_CONTENT, page_arrays(content, arrays))
    if fitted.significance:
        save_significances(folder / P_VALUES, fitted.significance)
    texts = {
        "report.html": content.html(language),
        "table.tsv": table_tsv(report),
        SIGNIFICANCE: tested.tsv,
        "regions.tsv": regions_tsv(report),
        "run.json": json.dumps(record, indent=1) + "\n",
        "study.yaml": study_yaml(prepared.config),
        "methods.md": study_methods(prepared).markdown,
    }
    for name, text in texts.items():
        if text:
            (folder / name).write_text(text, encoding="utf-8")


def _shown_keys(report: RunReport, fitted: Fitted) -> list[str]:
    """Keys of all artifacts that the tables of a page have numbers from."""
    results = [key for one in (*report.results, *report.listeners) for key in one.keys.values()]
    drawn = [key for curve in report.curves for key in curve.keys]
    drawn += [one.key for one in report.differences]
    drawn += [one.key for one in report.flatmaps.values()]
    return [*results, *(one.key for one in fitted.foresight.stories.values()), *drawn]


def _ceiling_arrays(ceilings: Ceilings) -> dict[str, np.ndarray]:
    return {
        f"{CEILINGS}{subject}/{base_name(story, cut)}/{measure}": getattr(ceiling, measure)
        for (subject, story), found in ceilings.items()
        for cut, ceiling in found.by_cut.items()
        for measure in MEASURES
    }
