"""Diagnostics on the page: worst first, with words and not colour alone, grouped and escaped."""

from __future__ import annotations

import re
from dataclasses import replace

from made_reports import DIAGNOSTICS, made_report

from brainaligner.evaluation import Diagnostic
from brainaligner.report import diagnostic_rows, render_page, verdict_counts


def section(page: str) -> str:
    found = re.search(r'<section aria-labelledby="diagnostics">.*?</section>', page, re.DOTALL)
    assert found is not None
    return found.group()


def test_rows_are_worst_first_and_equal_ones_stand_together() -> None:
    rows = diagnostic_rows(DIAGNOSTICS)
    assert [(row.verdict, row.number, len(row.places)) for row in rows] == [
        ("FAIL", 2, 1),
        ("WARN", 8, 5),
        ("NOT RUN", 4, 1),
        ("PASS", 10, 1),
    ]
    assert verdict_counts(DIAGNOSTICS) == (("FAIL", 1), ("WARN", 5), ("NOT RUN", 1), ("PASS", 1))
    assert diagnostic_rows(()) == ()


def test_other_advice_is_another_row() -> None:
    first = DIAGNOSTICS[1]
    assert len(diagnostic_rows((first, replace(first, advice="Narrow it.")))) == 2


def test_every_figure_and_verdict_is_said_in_words() -> None:
    shown = section(render_page(replace(made_report(), diagnostics=DIAGNOSTICS)))
    assert "1 FAIL, 5 WARN, 1 NOT RUN, 1 PASS." in shown
    for one in DIAGNOSTICS:
        assert one.figure in shown
        assert one.advice in shown
        assert one.where in shown
    assert shown.index("Rows of test stories") < shown.index("Checks that passed")
    assert shown.count('scope="row"') == 4
    assert shown.count("<caption") == 2
    assert "5 places" in shown


def test_a_page_without_diagnostics_has_no_such_section() -> None:
    assert 'id="diagnostics"' not in render_page(replace(made_report(), diagnostics=()))


def test_nothing_wrong_opens_what_passed() -> None:
    report = replace(made_report(), diagnostics=DIAGNOSTICS[-2:])
    assert "<details open>" in section(render_page(report))


def test_names_are_escaped() -> None:
    bad = Diagnostic(1, "<b>n</b>", "<i>w</i>", "WARN", "<script>", "<u>a</u>")
    shown = section(render_page(replace(made_report(), diagnostics=(bad,))))
    assert "&lt;script&gt;" in shown
    assert not re.search(r"<(b|i|u|script)>", shown)
