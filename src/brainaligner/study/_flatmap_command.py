"""The command ``data flatmap``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainaligner.core import InputError
from brainaligner.study import _completion as complete
from brainaligner.study._printing import AsJson, Subjects, help_end, print_json

if TYPE_CHECKING:
    from brainaligner.report import MapSettings
    from brainaligner.study._map_values import VoxelValues

EXAMPLES = help_end(
    "data flatmap ds003020 --values runs/my-study --to maps",
    "data flatmap ds003020 --values weights.npy --subjects UTS03 --to maps --label weight "
    "--limits=-1,1",
)


def flatmap(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.")],
    values: Annotated[
        Path,
        typer.Option(help="One value per voxel: folder of a finished run, .npz or .npy file."),
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where the pictures go.")],
    subjects: Subjects = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Which arrays, such as 'layer4/*/cut0'.")
    ] = "*",
    label: Annotated[
        str | None, typer.Option(help="What the values are; of a run: Pearson r.")
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Ends of the colour bar; default: 0 and the 99th percentile of all maps.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="png or svg.", autocompletion=complete.one_of("png", "svg")),
    ] = "png",
    by: Annotated[
        str,
        typer.Option(
            help="auto (the first that can be had), pycortex, flat, fsaverage5.",
            autocompletion=complete.one_of("auto", "pycortex", "flat", "fsaverage5"),
        ),
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw one value per voxel on the flattened cortex of each subject of a ds003020 tree.

    By pycortex where it is installed; else from the subject's own flat surfaces; where there
    are none, on fsaverage5. Which it was is said.
    """
    from brainaligner.data import anatomy_subjects
    from brainaligner.study import _flatmaps as maps
    from brainaligner.study import _map_values as given
    from brainaligner.study._placing import of_each_subject
    from brainaligner.study._progress import reporting

    home, source = folder.expanduser(), values.expanduser()
    maps.check_road(by)
    known, names = anatomy_subjects(home), split_names(subjects)
    rows = given.read_values(source, known, subjects=names, only=only)
    settings = _settings(rows, label or given.map_label(source, rows), limits, form)
    targets = given.map_paths(to.expanduser(), rows, form)
    warnings = given.map_warnings(home, source)

    def draw(subject: str) -> tuple[str, list[Path]]:
        own = [row for row in rows if row.subject == subject]
        maps.check_sizes(home, subject, own)
        canvas = maps.subject_canvas(home, subject, by=by)
        return canvas.how, maps.save_maps(canvas, own, targets, settings, warnings)

    whose = tuple(dict.fromkeys(row.subject for row in rows))
    with reporting() as reporter:
        drawn, faults = of_each_subject(home, whose, draw, reporter, doing="drawing maps")
    _show(dict(zip((s for s in whose if s not in faults), drawn, strict=True)), faults, as_json)
    if names and faults:
        raise typer.Exit(1)


def _show(drawn: dict[str, tuple[str, list[Path]]], faults: dict[str, str], as_json: bool) -> None:
    if as_json:
        maps = [
            {"subject": subject, "how": how, "files": [str(path) for path in paths]}
            for subject, (how, paths) in drawn.items()
        ]
        print_json({"drawn": maps, "not_drawn": faults})
        return
    for subject, (how, paths) in drawn.items():
        print(f"{subject}: {how}")
        for path in paths:
            print(f"  {path}")
    for subject, fault in faults.items():
        print(f"{subject}: NOT DRAWN: {fault}")


def split_names(given: list[str] | None) -> tuple[str, ...]:
    """Names given several times, with commas, or both."""
    parts = (part.strip() for text in given or () for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _settings(rows: list[VoxelValues], label: str, limits: str | None, form: str) -> MapSettings:
    from brainaligner.report import MapSettings, map_limits

    ends = map_limits(*(row.values for row in rows)) if limits is None else _ends(limits)
    return MapSettings(label, ends, form)


def _ends(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            "--limits", got=text, wanted="two numbers, LOW,HIGH", do="Give them as 0,0.3."
        ) from error
    return low, high
