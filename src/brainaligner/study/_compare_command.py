"""``brainaligner compare``: is one arm better than another?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from brainaligner.study._printing import (
    EXIT_CODES,
    NOT_VALID_CODE,
    AsJson,
    DataAgain,
    StoreBeside,
    print_json,
)

EXAMPLES = (
    "Examples:\n\n  brainaligner compare runs/demo --arms layer4 last\n\n"
    "  brainaligner compare runs/baseline --arms layer4-with-nuisance nuisance-alone --cut 10\n\n"
    + EXIT_CODES
)


def compare(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    arms: Annotated[
        list[str],
        typer.Option(
            "--arms",
            metavar="A B [C ...]",
            help="The reference, then the arms to compare with it; an arm with all its seeds, or "
            "one of them (es.s0).",
        ),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[ARM]...", help="Further arms, behind --arms.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Stories: test (validation), or a repeated story."),
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
