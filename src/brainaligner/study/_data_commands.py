"""Commands that look at data, and simulate some: check, readers, simulate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from brainaligner.core import InputError
from brainaligner.study import _completion as complete
from brainaligner.study._printing import (
    AsJson,
    ReaderName,
    Set,
    at_home,
    help_end,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from brainaligner.data import Dataset


def add_data_commands(data_app: typer.Typer) -> None:
    """Add ``check``, ``readers`` and ``simulate`` to the commands on data."""
    data_app.command(
        "check",
        epilog=help_end("data check my-folder", "data check ds003020 --reader lebel2023"),
    )(data_check)
    data_app.command("readers", epilog=help_end("data readers", "data readers --json"))(
        data_readers
    )
    data_app.command(
        "simulate",
        epilog=help_end("data simulate my-tree", "data simulate my-tree --anatomy"),
    )(data_simulate)


def data_check(
    folder: Annotated[Path, typer.Argument(callback=at_home, help="Folder of the data.")],
    reader: ReaderName = "folder",
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong with a data folder, at once."""
    from brainaligner.data import open_dataset
    from brainaligner.study._progress import reporting

    dataset = open_dataset(reader, folder)
    with reporting() as reporter:
        problems = dataset.problems(progress=reporter)
    if as_json:
        print_json(
            {
                "problems": [vars(problem) for problem in problems],
                "subjects": [one._asdict() for one in _contents(dataset)],
            }
        )
    else:
        for problem in problems:
            print(
                f"{problem.severity.upper()} {problem.where}: got {problem.got}; "
                f"wanted {problem.wanted}. {problem.do}"
            )
        for one in _contents(dataset):
            noun = "story" if one.stories == 1 else "stories"
            print(f"{one.subject}: {one.stories} {noun}, {one.rows} rows, {one.targets} {one.kind}")
    n_errors = sum(problem.severity == "error" for problem in problems)
    if n_errors:
        raise InputError(
            str(folder),
            got=f"{n_errors} error{'s' if n_errors > 1 else ''}",
            wanted="none",
            do="Mend the lines marked ERROR; warnings and notes need no mending.",
        )


class _Contents(NamedTuple):
    """What a data folder has of one subject."""

    subject: str
    stories: int
    rows: int
    targets: int
    kind: str


def _contents(dataset: Dataset) -> Iterator[_Contents]:
    for subject in dataset.subjects:
        try:
            stories = dataset.stories(subject)
            rows = sum(dataset.n_rows(subject, story) for story in stories)
            space = dataset.space(subject)
        except InputError:
            continue  # it stands among the problems
        yield _Contents(subject, len(stories), rows, space.size, space.kind)


def data_readers(as_json: AsJson = False) -> None:
    """List the readers and what each expects."""
    from brainaligner.data import READERS

    reads = {n: (reader.__doc__ or "").strip().splitlines()[0] for n, reader in READERS.items()}
    if as_json:
        print_json(reads)
    else:
        print_table(["reader", "reads"], list(reads.items()))


def data_simulate(
    folder: Annotated[Path, typer.Argument(callback=at_home, help="New folder for the tree.")],
    study: Annotated[
        str,
        typer.Option(help="Study whose simulation is written.", autocompletion=complete.studies),
    ] = "demo",
    overrides: Set = None,
    anatomy: Annotated[
        bool, typer.Option("--anatomy", help="Add surfaces, transforms and FreeSurfer files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the SIMULATED ds003020 tree of a study, with its truth, into a folder."""
    from brainaligner.study._simulated_tree import write_simulation

    more = ["dataset.simulation.anatomy=true"] if anatomy else []
    write_simulation(study, [*(overrides or []), *more], folder)
    if as_json:
        print_json({"folder": str(folder), "study": study, "anatomy": anatomy})
    else:
        print(f"simulated tree: {folder}")
