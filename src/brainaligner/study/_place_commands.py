"""Commands on where voxels lie and how much of them repeats."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainaligner.study._flatmap_command import EXAMPLES, flatmap, split_names
from brainaligner.study._printing import AsJson, ReaderName, Subjects, at_home, help_end, print_json
from brainaligner.study._reconstruct_command import EXAMPLES as RECONSTRUCT_EXAMPLES
from brainaligner.study._reconstruct_command import reconstruct

if TYPE_CHECKING:
    from brainaligner.data import Parcellation

MOST_NAMES = 10
_NO_COORDINATES = "no table of coordinates (*.dat) beside the atlas: BrainLM will need one"

Folder = Annotated[Path, typer.Argument(callback=at_home, help="Folder of the data.")]


def add_place_commands(data_app: typer.Typer) -> None:
    """Add ``place``, ``parcels``, ``ceiling``, ``flatmap``, ``reconstruct`` to those on data."""
    data_app.command("place", epilog=help_end("data place ds003020"))(place)
    data_app.command(
        "parcels",
        epilog=help_end("data parcels ds003020 --atlas a424 --to parcels.npz"),
    )(parcels)
    data_app.command(
        "ceiling",
        epilog=help_end("data ceiling ds003020 --reader lebel2023 --to ceiling.tsv"),
    )(ceiling)
    data_app.command("flatmap", epilog=EXAMPLES)(flatmap)
    data_app.command("reconstruct", epilog=RECONSTRUCT_EXAMPLES)(reconstruct)


def place(folder: Folder, subjects: Subjects = None, as_json: AsJson = False) -> None:
    """Place the voxels of a ds003020 tree on fsaverage5, so that pages draw maps.

    Writes pycortex-db/SUBJECT/fsaverage5_vertices.npy, which the reader lebel2023 takes up.
    """
    from brainaligner.study._placing import of_each_subject, place_subject
    from brainaligner.study._progress import reporting

    names = split_names(subjects)
    with reporting() as reporter:
        placed, faults = of_each_subject(
            folder, names, lambda subject: place_subject(folder, subject), reporter
        )
    if as_json:
        print_json({"placed": [vars(one) for one in placed], "not_placed": faults})
    else:
        for one in placed:
            print(
                f"{one.subject}: {one.voxels} voxels, {one.on_surface} on the surface, "
                f"median {one.median_mm:.2f} mm from it"
            )
        _print_faults(faults)
    _stop_where_asked_for(names, faults)


def parcels(
    folder: Folder,
    atlas: Annotated[
        Path, typer.Option(callback=at_home, help="Folder with a .dlabel.nii and its volume.")
    ],
    to: Annotated[
        Path, typer.Option(callback=at_home, metavar="FILE.npz", help="Where the matrices go.")
    ],
    subjects: Subjects = None,
    sphere_left: Annotated[
        Path | None,
        typer.Option(callback=at_home, help="Left fsLR-32k sphere in fsaverage space (GIFTI)."),
    ] = None,
    sphere_right: Annotated[
        Path | None, typer.Option(callback=at_home, help="The right one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Place the voxels of a ds003020 tree in the parcels of an atlas such as A424.

    A table of the voxels of each parcel is written beside the matrices, as FILE.tsv.
    """
    from brainaligner.study import _placing as placing
    from brainaligner.study._progress import reporting

    placing.check_target(to, ".npz")
    names = split_names(subjects)
    spheres = placing.sphere_pair(sphere_left, sphere_right)
    labels = placing.read_atlas_folder(atlas)
    coordinates = placing.read_coordinates(atlas, labels.n_parcels)
    with reporting() as reporter:
        placed, faults = placing.of_each_subject(
            folder,
            names,
            lambda subject: placing.place_parcels(folder, subject, labels, spheres),
            reporter,
        )
    beside = placing.save_parcels(to, placed, coordinates)
    notes = [*placed[0].notes, *([_NO_COORDINATES] if coordinates is None else [])]
    if as_json:
        covered = [
            {"subject": one.subject, "parcels": len(one.names), "missing": list(one.missing)}
            for one in placed
        ]
        files = {"files": [str(to), str(beside)], "notes": notes}
        print_json(files | {"placed": covered, "not_placed": faults})
    else:
        for note in notes:
            print(f"note: {note}")
        for one in placed:
            print(_coverage(one))
        _print_faults(faults)
        print(f"written: {to}, {beside}")
    _stop_where_asked_for(names, faults)


def _coverage(one: Parcellation) -> str:
    missing = one.missing
    text = f"{one.subject}: {len(one.names) - len(missing)} of {len(one.names)} parcels have voxels"
    if not missing:
        return text
    more = f" and {len(missing) - MOST_NAMES} more" if len(missing) > MOST_NAMES else ""
    return f"{text}; missing: {', '.join(missing[:MOST_NAMES])}{more}"


def ceiling(
    folder: Folder,
    to: Annotated[
        Path, typer.Option(callback=at_home, metavar="FILE.tsv", help="Where the table goes.")
    ],
    reader: ReaderName = "folder",
    subjects: Subjects = None,
    stories: Annotated[
        list[str] | None, typer.Option(help="Which; default: all with single presentations.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how much of each target repeats, and the best r that a model could reach.

    A row of the table stands for a target of a subject in a story with repeats: explainable
    variance, signal power, total power and noise ceiling (CCmax), with standard errors.
    """
    from brainaligner.data import open_dataset
    from brainaligner.study._ceilings import repeated_stories, save_ceilings
    from brainaligner.study._placing import check_target
    from brainaligner.study._progress import reporting

    check_target(to, ".tsv")
    dataset = open_dataset(reader, folder)
    pairs = repeated_stories(dataset, split_names(subjects), split_names(stories))
    with reporting() as reporter:
        summaries = save_ceilings(to, dataset, pairs, reporter)
    if as_json:
        print_json({"file": str(to), "ceilings": [asdict(one) for one in summaries]})
        return
    for one in summaries:
        print(one.line)
    print(f"written: {to}")


def _print_faults(faults: dict[str, str]) -> None:
    for subject, fault in faults.items():
        print(f"{subject}: NOT PLACED: {fault}")


def _stop_where_asked_for(names: tuple[str, ...], faults: dict[str, str]) -> None:
    """Exit with 1 where a subject that was named could not be placed."""
    if names and faults:
        raise typer.Exit(1)
