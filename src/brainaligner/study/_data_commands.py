"""Commands that look at data, and simulate some: check, readers, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainaligner.core import InputError
from brainaligner.study._printing import EXIT_CODES, AsJson, Set, print_json, print_table

if TYPE_CHECKING:
    from brainaligner.data import Dataset


def add_data_commands(data_app: typer.Typer) -> None:
    """Add ``check``, ``readers`` and ``simulate`` to the commands on data."""
    data_app.command(
        "check",
        epilog="Examples:\n\n  brainaligner data check my-folder\n\n"
        "  brainaligner data check ds003020 --reader lebel2023\n\n" + EXIT_CODES,
    )(data_check)
    data_app.command("readers")(data_readers)
    data_app.command(
        "simulate",
        epilog="Examples:\n\n  brainaligner data simulate my-tree\n\n"
        "  brainaligner data simulate my-tree --anatomy",
    )(data_simulate)


def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.")],
    reader: Annotated[str, typer.Option(help="How to read it.")] = "folder",
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong with a data folder, at once."""
    from brainaligner.data import open_dataset
    from brainaligner.study._progress import reporting

    dataset = open_dataset(reader, folder.expanduser())
    with reporting() as reporter:
        problems = dataset.problems(progress=reporter)
    if as_json:
        print_json([vars(problem) for problem in problems])
    else:
        for problem in problems:
            print(
                f"{problem.severity.upper()} {problem.where}: got {problem.got}; "
                f"wanted {problem.wanted}. {problem.do}"
            )
        _print_contents(dataset)
    n_errors = sum(problem.severity == "error" for problem in problems)
    if n_errors:
        raise InputError(
            str(folder),
            got=f"{n_errors} error{'s' if n_errors > 1 else ''}",
            wanted="none",
            do="Mend the lines marked ERROR; warnings and notes need no mending.",
        )


def _print_contents(dataset: Dataset) -> None:
    for subject in dataset.subjects:
        try:
            stories = dataset.stories(subject)
            rows = sum(dataset.n_rows(subject, story) for story in stories)
            space = dataset.space(subject)
        except InputError:
            continue  # it stands among the problems
        noun = "story" if len(stories) == 1 else "stories"
        print(f"{subject}: {len(stories)} {noun}, {rows} rows, {space.size} {space.kind}")


def data_readers() -> None:
    """List the readers and what each expects."""
    from brainaligner.data import READERS

    rows = [
        [name, (reader.__doc__ or "").strip().splitlines()[0]] for name, reader in READERS.items()
    ]
    print_table(["reader", "reads"], rows)


def data_simulate(
    folder: Annotated[Path, typer.Argument(help="New folder for the tree.")],
    study: Annotated[str, typer.Option(help="Study whose simulation is written.")] = "demo",
    overrides: Set = None,
    anatomy: Annotated[
        bool, typer.Option("--anatomy", help="Add surfaces, transforms and FreeSurfer files.")
    ] = False,
) -> None:
    """Write the SIMULATED ds003020 tree of a study, with its truth, into a folder."""
    from brainaligner.study._run import write_simulation

    more = ["dataset.simulation.anatomy=true"] if anatomy else []
    write_simulation(study, [*(overrides or []), *more], folder)
    print(f"simulated tree: {folder}")
