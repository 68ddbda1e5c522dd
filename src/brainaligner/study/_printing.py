"""What commands share: help texts, exit codes, options, questions, and ways to print."""

from __future__ import annotations

import json
import os
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

from brainaligner.core import InputError
from brainaligner.study import _completion as complete

NOT_VALID_CODE = 4
STOPPED_CODE = 130
EXIT_CODES = """Exit codes: 0 all went well; 1 something failed on the way, or was declined; 2 bad
input or a full disk, nothing half-written is left; 4 the audit found that the study is not valid;
130 stopped by the user (run the same command again to go on)."""


def help_end(*examples: str, more: str = "") -> str:
    """What ends the help of a command: examples, what else there is to say, exit codes.

    Parameters
    ----------
    *examples : str
        Command lines without the program's name.
    more : str
        Paragraphs between the two.
    """
    head = "Examples:" if len(examples) > 1 else "Example:"
    lines = [head, *(f"  brainaligner {example}" for example in examples)]
    return "\n\n".join([*lines, *([more] if more else []), EXIT_CODES])


def at_home(path: Path | None) -> Path | None:
    """Take ``~`` for the user's folder also where the shell did not, as in ``--to=~/maps``."""
    try:
        return None if path is None else path.expanduser()
    except RuntimeError as error:
        raise InputError(
            str(path), got="no such user", wanted="a path", do="Write the folder out."
        ) from error


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting of the study: --set evaluation.level=0.9. May be given more than "
        "once.",
        autocompletion=complete.settings,
    ),
]
Study = Annotated[
    str,
    typer.Argument(
        help="A YAML file, or the name of a packaged study.", autocompletion=complete.studies
    ),
]
FinishedRun = Annotated[
    Path, typer.Argument(help="Folder of a finished run.", autocompletion=complete.runs)
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="Torch device: cpu, cuda (its ridge takes all GPUs), cuda:0, mps.",
        autocompletion=complete.devices,
    ),
]
Threads = Annotated[int | None, typer.Option("--threads", help="CPU threads to use.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of results and of the store.")]
BatchTokens = Annotated[
    int, typer.Option(help="Tokens in one batch of the language model; more for a GPU.")
]
TargetBlock = Annotated[
    int, typer.Option(help="Voxels fitted at a time; bounds the memory of the ridge.")
]
DEFAULT_OUT = Path("runs")
Data = Annotated[
    str | None,
    typer.Option(
        "--data", help="Folder of the data; before the study file, and before BRAINALIGNER_DATA."
    ),
]
DataAgain = Annotated[
    str | None, typer.Option("--data", help="Folder of the data, to be read again.")
]
ReaderName = Annotated[
    str, typer.Option("--reader", help="How to read the data.", autocompletion=complete.readers)
]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subjects",
        help="Which, as UTS01,UTS02 or given several times; default: all.",
        autocompletion=complete.subjects,
    ),
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
        autocompletion=complete.languages,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON document for programs.")
]


def print_json(content: object) -> None:
    """Print JSON without NaN, at once: what reads it may wait for the end of the document."""
    print(json.dumps(content, indent=1, allow_nan=False), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table."""
    from brainaligner.study._screen import list_table

    Console().print(list_table(columns, rows))


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 time``, ``2 times``."""
    return f"{count} {noun}" + "s" * (count != 1)


def stderr_console() -> Console:
    """Where progress and errors go.

    NO_COLOR and FORCE_COLOR are rich's to follow; what moves, such as a bar, is for terminals
    alone, whatever FORCE_COLOR says of colours.
    """
    moves = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    return Console(stderr=True, soft_wrap=True, force_interactive=moves)


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
        with named_interrupts():
            yield
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(STOPPED_CODE) from None


@contextmanager
def named_interrupts() -> Iterator[None]:
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


def ask(question: str, *, default: str) -> str:
    """Ask on stderr, so that stdout holds the result alone.

    Raises
    ------
    InputError
        Where the input ends before the answer.
    """
    with _answering(question):
        return str(typer.prompt(question, default=default, err=True))


def confirmed(question: str) -> bool:
    """Ask for yes or no on stderr; refuses as `ask` does."""
    with _answering(question):
        return typer.confirm(question, err=True)


@contextmanager
def _answering(question: str) -> Iterator[None]:
    """Tell the two things apart that typer calls Abort: Ctrl-C, and the end of the input."""
    try:
        yield
    except typer.Abort as abort:
        print(file=sys.stderr)
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise typer.Exit(STOPPED_CODE) from None
        raise InputError(
            question,
            got="the end of the input",
            wanted="an answer",
            do="Answer it, or give --yes.",
        ) from None
