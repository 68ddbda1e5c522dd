"""What the audit and the diagnostics say of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gallery_bench import run_json, without_figures

from brainaligner.study import audit_run


@dataclass(frozen=True)
class Verdict:
    """What was found in one run.

    Parameters
    ----------
    during : frozenset of str
        Names of faults that the run itself reports; diagnostics that fail as
        ``"diagnostic 9"``.
    after : frozenset of str
        Names of faults that an audit of the finished run finds, nothing patched any more.
    warned : frozenset of str
        Names of warnings of both.
    words : tuple of str
        All of it, for people.
    """

    during: frozenset[str]
    after: frozenset[str]
    warned: frozenset[str]
    words: tuple[str, ...]

    @property
    def faults(self) -> frozenset[str]:
        """Everything that failed."""
        return self.during | self.after


def judge(run: Path) -> Verdict:
    """Audit a finished run, and read what it said of itself."""
    record = run_json(run)
    reported = record.get("audit", {})
    failed = [d for d in record.get("diagnostics", ()) if d["verdict"] == "FAIL"]
    with without_figures():
        found = audit_run(run)
    said = [(f["name"], f["where"], f["figure"]) for f in reported.get("faults", ())]
    said += [(f"diagnostic {d['number']}", d["where"], d["figure"]) for d in failed]
    seen = [(fault.name, fault.where, fault.figure) for fault in found.faults]
    warnings = [(w["name"], w["where"], w["figure"]) for w in reported.get("warnings", ())]
    warnings += [(w.name, w.where, w.figure) for w in found.warnings]
    return Verdict(
        frozenset(name for name, *_ in said),
        frozenset(name for name, *_ in seen),
        frozenset(name for name, *_ in warnings),
        tuple(
            f"{when}: {name}: {where}: {figure}"
            for when, part in (("run", said), ("audit", seen), ("warning", warnings))
            for name, where, figure in part
        ),
    )
