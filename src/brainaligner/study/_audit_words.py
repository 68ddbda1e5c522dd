"""An audit in words and in JSON, and the standard diagnostics that come from it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from brainaligner.evaluation import DIAGNOSTIC_NAMES, Audit, Diagnostic, Fault, Finding, Verdict
from brainaligner.report import NOT_VALID

_DISJOINT = (
    "test-rows-in-fit",
    "chosen-on-test",
    "shuffled-rows",
    "random-chunks",
    "same-story-two-names",
    "test-story-in-tuning",
    "test-text-in-tuning",
    "lineage-differs",
    "unwitnessed",
)


def audit_record(audit: Audit) -> dict[str, Any]:
    """What run.json holds of an audit."""
    return {"verdict": audit.verdict, "reason": audit.reason} | asdict(audit)


def audit_words(audit: Audit) -> str:
    """The verdict in a line, for the top of a page."""
    if audit.faults:
        return f"{NOT_VALID}: {audit.reason}"
    parts = [f"audit: {audit.verdict}"]
    if audit.warnings:
        names = dict.fromkeys(warning.name for warning in audit.warnings)
        parts.append(f"known departures: {', '.join(names)}")
    if audit.unproven:
        parts.append(f"{len(audit.unproven)} checks could not be made")
    return "; ".join(parts)


def audit_findings(audit: Audit) -> tuple[Finding, ...]:
    """Faults, warnings and what is unproven as remarks beside the scores."""
    faults = [
        Finding("fail", f.where, f"{f.name}: {f.sentence} ({f.figure})") for f in audit.faults
    ]
    warnings = [Finding("warn", f.where, f"{f.name}: {f.sentence}") for f in audit.warnings]
    notes = [
        Finding("note", one.where, f"not proven by the audit, {one.name}: {one.reason}")
        for one in audit.unproven
    ]
    return (*faults, *warnings, *notes)


def audit_diagnostics(audit: Audit) -> tuple[Diagnostic, ...]:
    """Diagnostics 1 (story sets disjoint, by content) and 4 (no brain input at evaluation)."""
    return (
        _diagnostic(audit, 1, _DISJOINT, ("same-story-two-names", "lineage", "witness")),
        _diagnostic(audit, 4, ("brain-at-evaluation",), ("features",)),
    )


def _diagnostic(
    audit: Audit, number: int, faults: tuple[str, ...], checks: tuple[str, ...]
) -> Diagnostic:
    found = [fault for fault in audit.faults if fault.name in faults]
    open_checks = [one for one in audit.unproven if one.name in checks]
    failed = any(one.name == "check-failed" for one in audit.warnings)
    verdict: Verdict = "FAIL" if found else "WARN" if open_checks or failed else "PASS"
    advice = "Nothing to do."
    if found:
        advice = f"{_said(found[0])}. Do not use these scores."
    elif open_checks:
        advice = f"Not proven: {open_checks[0].where}: {open_checks[0].reason}."
    elif failed:
        advice = "A check of the audit could not be carried to its end: see its warnings."
    where = found[0].where if found else ""
    return Diagnostic(
        number, DIAGNOSTIC_NAMES[number], where, verdict, f"{len(found)} faults, 0 allowed", advice
    )


def _said(fault: Fault) -> str:
    return f"{fault.name}: {fault.sentence} ({fault.figure})"
