"""What a run says of itself for programs: run.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brainaligner.core import InputError, nearest_name
from brainaligner.report import (
    Result,
    RunReport,
    Table,
    ceiling_table,
    listener_table,
    results_table,
    verdict,
)
from brainaligner.study._region_files import Regions, region_digests
from brainaligner.study._tuning import TuningFacts

_RUN = "run.json"


def run_record(
    report: RunReport,
    regions: Mapping[str, Regions],
    *,
    more: Sequence[tuple[str, Table]] = (),
    tunings: Sequence[TuningFacts] = (),
) -> dict[str, Any]:
    """What stands in run.json.

    Parameters
    ----------
    report : RunReport
    regions : mapping of subject to mapping of region to columns
        What the regions were; recorded by the digest of their columns.
    more : sequence of (name, Table)
        Further tables of the page.
    tunings : sequence of TuningFacts
    """
    ceilings = [ceiling_table(report, cut=cut) for cut in report.cuts]
    tables = [results_table(report, cut=cut) for cut in report.cuts]
    listeners = [listener_table(report, cut=cut) for cut in report.cuts]
    tables += [table for table in (*ceilings, *listeners) if table is not None]
    tables += [table for _, table in more]
    return {
        "study": report.study,
        "title": report.title,
        "simulated": report.simulated,
        "label": report.label,
        "about": dict(report.about),
        "verdict": asdict(verdict(report)),
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
        "results": [_result_record(result) for result in report.results],
        "other_listeners": [_result_record(result) for result in report.listeners],
        "regions": {subject: dict(region_digests(found)) for subject, found in regions.items()},
        "tunings": [without_nan(asdict(facts)) for facts in tunings],
        "recipes": dict(report.recipes),
    }


def _result_record(result: Result) -> Any:
    ceiling = result.ceiling
    beside = {
        "alpha": result.alpha,
        "reference": result.reference,
        "ceiling": None if ceiling is None else asdict(ceiling) | {"share": ceiling.share},
        "regions": [asdict(one) for one in result.regions],
    }
    return without_nan(asdict(result.summary) | beside)


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_run(folder: Path) -> dict[str, Any]:
    """Read what a finished run says of itself.

    Raises
    ------
    InputError
        If the folder holds no finished run, or its run.json is damaged.
    """
    path = folder / _RUN
    if not path.is_file():
        raise InputError(
            str(folder),
            got="no run.json in it",
            wanted="the folder of a finished run",
            do=_other_run(folder),
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lacking = {"title", "label", "simulated", "findings", "results"} - set(content)
    except (OSError, ValueError, TypeError) as error:
        raise damaged_record(path, str(error)) from error
    if lacking:
        raise damaged_record(path, f"no {sorted(lacking)[0]!r}")
    return content


def _other_run(folder: Path) -> str:
    """What to do where a folder holds no run: the run beside it whose name is most like its."""
    beside = {str(path.parent) for path in folder.parent.glob(f"*/{_RUN}")}
    nearest = nearest_name(str(folder), beside)
    if nearest:
        return f"Did you mean {nearest!r}?"
    return "Give a folder such as runs/demo, or run the study to its end first."


def damaged_record(path: Path, fault: str) -> InputError:
    """What to say of a damaged file of a run: a run writes it anew."""
    return InputError(
        str(path),
        got=f"a damaged file ({fault})",
        wanted="what a run writes",
        do="Run the study again.",
    )
