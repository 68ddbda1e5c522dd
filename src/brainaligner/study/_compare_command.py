"""``brainaligner compare``: is one arm better than another?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    NOT_VALID_CODE,
    AsJson,
    DataAgain,
    FinishedRun,
    StoreBeside,
    help_end,
    print_json,
)

EXAMPLES = help_end(
    "compare runs/demo --arms layer4 last",
    "compare runs/baseline --arms layer4-with-nuisance nuisance-alone --cut 10",
)


def compare(
    run: FinishedRun,
    arms: Annotated[
        list[str],
        typer.Option(
            "--arms",
            metavar="A B [C ...]",
            help="The reference, then the arms to compare with it; an arm with all its seeds, or "
            "one of them (es.s0).",
            autocompletion=complete.arms,
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARM]...", help="Further arms, behind --arms.", autocompletion=complete.arms
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            help="Stories: test (validation), or a repeated story.",
            autocompletion=complete.groups,
        ),
    ] = None,
    cut: Annotated[int, typer.Option("--cut", help="Rows dropped at each end of a story.")] = 0,
    data: DataAgain = None,
    out: StoreBeside = None,
    as_json: AsJson = False,
) -> None:
    """Compare arms of a finished run with the first of them, on the same stories.

    The difference of mean r with its interval, whether both are equivalent, how many targets
    differ, the smallest difference that such stories can show, and in how many subjects it
    replicates. Seeds are shown apart. Nothing is fitted: predictions come from the store.
    """
    from brainaligner.study._compare import compare_run
    from brainaligner.study._compare_words import comparison_lines, comparison_record

    names = [*arms, *(more or [])]
    found = comparison_record(compare_run(run, names, group=group, cut=cut, data=data, out=out))
    found["not_valid"] = not_valid_reason(run)
    if as_json:
        print_json(found)
    else:
        for line in _stamp(found) + comparison_lines(found):
            print(line)
    if found["not_valid"] is not None:
        raise typer.Exit(NOT_VALID_CODE)


def not_valid_reason(folder: Path) -> str | None:
    """Why the audit of a run failed; None where it did not."""
    from brainaligner.study._record import read_run

    audit = read_run(folder).get("audit", {})
    return str(audit["reason"]) if audit.get("verdict") == "FAIL" else None


def _stamp(found: dict[str, Any]) -> list[str]:
    reason = found["not_valid"]
    return [] if reason is None else [f"NOT VALID: {reason}"]
