"""``brainaligner audit``: is a finished run what it says it is?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from brainaligner.study._printing import (
    EXIT_CODES,
    NOT_VALID_CODE,
    AsJson,
    print_json,
)

EXAMPLES = "Example:\n\n  brainaligner audit runs/demo\n\n" + EXIT_CODES


def audit_command(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[
        str | None, typer.Option("--data", help="Folder of the data, to be read again.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder that holds the store; default: the folder beside."),
    ] = None,
    cheap: Annotated[
        bool, typer.Option("--cheap", help="Only what each run checks at its end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Audit a finished run: prove that nothing of a test story reached anything but scoring.

    Recipes are walked by content, what entered each computation is compared with the data read
    again, and a sample of features, predictions and scores is computed again. What cannot be
    proven is said.
    """
    from brainaligner.study._audit import audit_run
    from brainaligner.study._audit_words import audit_record

    found = audit_record(audit_run(run, data=data, out=out, thorough=not cheap))
    if as_json:
        print_json(found)
    else:
        for line in audit_lines(found):
            print(line)
    if found["verdict"] == "FAIL":
        raise typer.Exit(NOT_VALID_CODE)


def audit_lines(found: dict[str, Any]) -> list[str]:
    """An audit for a terminal: the verdict, then what it rests on."""
    lines = [f"audit: {found['verdict']}{': ' if found['reason'] else ''}{found['reason']}"]
    for kind, word in (("faults", "FAIL"), ("warnings", "WARN")):
        lines += [
            f"{word} {f['name']}: {f['where']}: {f['sentence']} ({f['figure']})"
            for f in found[kind]
        ]
    lines += [f"unproven {u['name']}: {u['where']}: {u['reason']}" for u in found["unproven"]]
    return lines + [f"proven: {text}" for text in found["proven"]]


def exit_if_not_valid(folder: Path) -> None:
    """End with the code of a study that is not valid, where its run says so."""
    from brainaligner.study._record import read_run

    if read_run(folder).get("audit", {}).get("verdict") == "FAIL":
        raise typer.Exit(NOT_VALID_CODE)
