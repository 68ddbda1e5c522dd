"""``brainaligner doctor``: is this machine ready?"""

from __future__ import annotations

import typer

from brainaligner.study._printing import (
    DEFAULT_OUT,
    AsJson,
    Data,
    Out,
    help_end,
    print_json,
    print_table,
)

EXAMPLES = help_end("doctor --data ~/data", "doctor --json")


def doctor(data: Data = None, out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Show versions, devices, threads, memory, disk, datasets and models found."""
    from brainaligner.study._doctor import examine

    columns, rows = ("topic", "verdict", "found"), examine(data=data, out=out)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
    if any(verdict == "fail" for _, verdict, _ in rows):
        raise typer.Exit(1)
