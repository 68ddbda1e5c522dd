"""Made-up reports, and their pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from made_reports import SUBJECTS, made_flatmap, made_report

from brainaligner.report import RunReport, render_page


@pytest.fixture(scope="session")
def components() -> RunReport:
    """Components: no cortex map."""
    return made_report()


@pytest.fixture(scope="session")
def voxels() -> RunReport:
    """Simulated voxels that lie on the cortex; one subject has a flatmap."""
    return replace(made_report("voxels", 9000), flatmaps={SUBJECTS[1]: made_flatmap(9000)})


@pytest.fixture(scope="session")
def pages(components: RunReport, voxels: RunReport) -> dict[str, str]:
    """Both reports as pages: drawn once, for all tests."""
    return {"components": render_page(components), "voxels": render_page(voxels)}


@pytest.fixture(scope="session")
def rescored() -> Callable[[RunReport, dict[str, object]], RunReport]:
    """Return a function that changes fields of all scores of a report."""

    def changed(report: RunReport, fields: dict[str, object]) -> RunReport:
        results = []
        for result in report.results:
            scores = replace(result.scores, **fields)
            results.append(replace(result, scores=scores))
        label = str(fields.get("label", report.label))
        return replace(report, results=tuple(results), label=label)

    return changed
