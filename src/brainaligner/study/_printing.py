"""What commands share: exit codes, options, and ways to print."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

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
DataAgain = Annotated[
    str | None, typer.Option("--data", help="Folder of the data, to be read again.")
]
StoreBeside = Annotated[
    Path | None,
    typer.Option("--out", help="Folder that holds the store; default: the folder beside."),
]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        envvar="BRAINALIGNER_LANGUAGE",
        metavar="LANG",
        help="Language of the page: en (English) or ja (Japanese).",
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


class StoppedByUser(KeyboardInterrupt):
    """The user's Ctrl-C, under a name of its own.

    Where a plain ``KeyboardInterrupt`` passes through ``exec`` of a string, as the making of any
    dataclass runs one, CPython notes it as unhandled for good and dies of the signal at its end,
    whatever exit code the program asked for. It compares types exactly, so a subclass is safe.
    """


@contextmanager
def stoppable() -> Iterator[None]:
    """Say how to go on where the user stops a command, and exit with 130."""
    try:
        with _named_interrupts():
            yield
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def _named_interrupts() -> Iterator[None]:
    """Raise StoppedByUser at Ctrl-C, unless somebody else handles or ignores it already."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedByUser
