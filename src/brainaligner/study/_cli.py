"""The command line: ``brainaligner``."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from brainaligner import __version__
from brainaligner.core import BrainAlignerError
from brainaligner.study import (
    _audit_command,
    _compare_command,
    _doctor_command,
    _embed_command,
    _export_command,
    _fetch_command,
    _init_command,
    _page_command,
    _recipe_command,
    _run_command,
    _search_command,
    _studies_command,
    _sweep_command,
    _view_command,
)
from brainaligner.study._data_commands import add_data_commands
from brainaligner.study._place_commands import add_place_commands
from brainaligner.study._printing import help_end, named_interrupts, stderr_console

_TRACEBACK = "PYTHONDEVMODE"  # Python's own flag for those who look for faults

app = typer.Typer(
    name="brainaligner",
    help="Encoding models of the brain from language models, scored honestly.",
    epilog=help_end(
        "init", "demo", "run my-study.yaml --plan", "show runs/demo", "--install-completion"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(
    help="Look at data before any study runs on it.",
    epilog=help_end("data check my-folder", "data readers"),
    no_args_is_help=True,
)
studies_app = typer.Typer(
    help="The packaged studies.", epilog=_studies_command.EXAMPLES, invoke_without_command=True
)
for _name, _command, _epilog in (
    ("init", _init_command.init, _init_command.EXAMPLES),
    ("fetch", _fetch_command.fetch, _fetch_command.EXAMPLES),
    ("run", _run_command.run, _run_command.RUN_EXAMPLES),
    ("show", _run_command.show, _run_command.SHOW_EXAMPLES),
    ("page", _page_command.page, _page_command.EXAMPLES),
    ("view", _view_command.view, _view_command.EXAMPLES),
    ("audit", _audit_command.audit_command, _audit_command.EXAMPLES),
    ("compare", _compare_command.compare, _compare_command.EXAMPLES),
    ("recipe", _recipe_command.recipe, _recipe_command.EXAMPLES),
    ("sweep", _sweep_command.sweep, _sweep_command.EXAMPLES),
    ("search", _search_command.search, _search_command.EXAMPLES),
    ("export", _export_command.export, _export_command.EXAMPLES),
    ("embed", _embed_command.embed, _embed_command.EXAMPLES),
    ("demo", _run_command.demo, _run_command.DEMO_EXAMPLES),
    ("doctor", _doctor_command.doctor, _doctor_command.EXAMPLES),
):
    app.command(_name, epilog=_epilog)(_command)
app.add_typer(data_app, name="data")
add_data_commands(data_app)
add_place_commands(data_app)
app.add_typer(studies_app, name="studies")
studies_app.callback()(_studies_command.studies)
studies_app.command("show", epilog=_studies_command.SHOW_EXAMPLES)(_studies_command.studies_show)


def main() -> None:
    """Run the command line; errors become one clear line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 is no error
            stream.reconfigure(errors="backslashreplace")
    try:
        with named_interrupts():
            app(prog_name="brainaligner")
    except BrainAlignerError as error:
        _exit(str(error), error.exit_code)
    except OSError as error:  # the system's own have a number; those of libraries may be faults
        if error.errno is None or os.environ.get(_TRACEBACK):
            raise
        met = "reading or writing" if error.filename is None else str(error.filename)
        _exit(f"{met}: {error.strerror}. With {_TRACEBACK}=1 it is shown where.", 1)


def _exit(text: str, code: int) -> NoReturn:
    line = f"error: {' '.join(text.split())}"
    stderr_console().print(line, style="red", markup=False, highlight=False)
    sys.exit(code)


def _version(wanted: bool) -> bool:
    if wanted:
        print(f"brainaligner {__version__}")
        raise typer.Exit
    return bool(wanted)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
