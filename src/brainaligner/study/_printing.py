"""What commands share: exit codes, options, and ways to print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

NOT_VALID_CODE = 4
EXIT_CODES = """Exit codes: 0 all went well; 1 something failed on the way; 2 bad input or a full
disk, nothing half-written is left; 4 the audit found that the study is not valid; 130 stopped by
the user (run the same command again to go on)."""
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting of the study: --set split.seed=1. May be given several times.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(content: object) -> None:
    """Print JSON without NaN."""
    print(json.dumps(content, indent=1, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table."""
    from brainaligner.study._screen import list_table

    Console().print(list_table(columns, rows))


@contextmanager
def stoppable() -> Iterator[None]:
    """Say how to go on where the user stops a command, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
