"""Verdicts of diagnostics."""

from brainaligner.evaluation import Diagnostic, worst_verdict


def given_verdicts(*verdicts):
    return tuple(Diagnostic(1, "name", "", verdict, "", "") for verdict in verdicts)


def test_the_worst_verdict_decides():
    assert worst_verdict(given_verdicts("PASS", "WARN", "PASS")) == "WARN"
    assert worst_verdict(given_verdicts("PASS", "FAIL", "WARN")) == "FAIL"
    assert worst_verdict(given_verdicts("PASS", "NOT RUN")) == "NOT RUN"
    assert worst_verdict(given_verdicts("PASS")) == "PASS"


def test_without_diagnostics_nothing_has_run():
    assert worst_verdict(()) == "NOT RUN"
