"""Maps of one value per voxel, by the best road that there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brainaligner.core import InputError, Space, unknown_name
from brainaligner.data import (
    fsaverage5_vertices,
    open_dataset,
    pycortex_files,
    read_anatomy,
)
from brainaligner.report import (
    FlatHemisphere,
    FlatPixels,
    MapSettings,
    flat_pixels,
    flatmap_image,
    fsaverage5_image,
    fsaverage5_sphere,
    pycortex_pixels,
    pycortex_version,
)
from brainaligner.study._disk import replace_file
from brainaligner.study._map_values import VoxelValues
from brainaligner.study._placing import check_columns

AUTO = "auto"
HEIGHT = 1024  # pixels of a map that is written as a file
Draw = Callable[[VoxelValues, str, MapSettings], bytes]


@dataclass(frozen=True)
class Canvas:
    """Where a subject's values can be drawn.

    Parameters
    ----------
    how : str
        What it is, for people.
    draw : callable
        From values, title and settings to the bytes of a file.
    """

    how: str
    draw: Draw


def subject_canvas(folder: Path, subject: str, *, by: str = AUTO) -> Canvas:
    """Find the best road to a map of a subject, and say why a better one was not taken.

    Parameters
    ----------
    folder : Path
    subject : str
    by : {"auto", "pycortex", "flat", "fsaverage5"}

    Raises
    ------
    InputError
        If that road, or with "auto" each of them, lacks files.
    """
    if by != AUTO:
        return ROADS[by](folder, subject)
    faults: list[str] = []
    for name, road in ROADS.items():
        try:
            canvas = road(folder, subject)
        except InputError as error:
            faults.append(f"not by {name}: {' '.join(str(error).split())}")
        else:
            return Canvas("; ".join([canvas.how, *faults]), canvas.draw)
    raise InputError(
        subject,
        got="; ".join(faults),
        wanted="flat surfaces, or what `brainaligner data place` needs",
        do="Download pycortex-db/ and freesurfer_subjdir/ of this subject.",
    )


def check_sizes(folder: Path, subject: str, values: Sequence[VoxelValues]) -> None:
    """Refuse rows of values that have not one for each voxel of their subject.

    Raises
    ------
    InputError
    """
    size = _n_voxels(folder, subject)
    for one in values:
        if len(one.values) != size:
            raise InputError(
                one.name,
                got=f"{len(one.values)} values",
                wanted=f"{size}, one for each voxel of {subject}",
                do="Give values of this subject's voxels, in the order of the columns.",
            )


def _n_voxels(folder: Path, subject: str) -> int:
    try:
        return open_dataset("lebel2023", folder).n_columns(subject)
    except InputError:  # surfaces may be there before responses
        return len(read_anatomy(folder, subject).columns)


def check_road(by: str) -> None:
    """Refuse a road that there is not.

    Raises
    ------
    InputError
    """
    if by not in (AUTO, *ROADS):
        raise unknown_name("--by", "road", by, (AUTO, *ROADS))


def save_maps(
    canvas: Canvas,
    values: Sequence[VoxelValues],
    targets: Mapping[str, Path],
    settings: MapSettings,
    warnings: Sequence[str] = (),
) -> list[Path]:
    """Draw all values of a subject and write each into its file.

    Parameters
    ----------
    canvas : Canvas
    values : sequence of VoxelValues
    targets : mapping of name to Path
    settings : MapSettings
    warnings : sequence of str
        What each title has to say first.
    """
    for one in values:
        words = [*warnings] + [one.subject] * (one.subject not in one.name)
        title = ": ".join([*words, one.name])
        replace_file(targets[one.name], canvas.draw(one, title, settings))
    return [targets[one.name] for one in values]


def flatmap_words(road: str) -> str:
    """By what a flatmap is laid out, for people."""
    if road == "pycortex":
        return f"flatmap by pycortex {pycortex_version()}"
    return "flatmap of the subject's flat surfaces"


def _pycortex_pixels(folder: Path, subject: str, height: int) -> FlatPixels:
    if pycortex_version() is None:
        raise InputError(
            "pycortex",
            got="not installed",
            wanted="pycortex",
            do="pip install 'brainaligner[flatmap]'",
        )
    columns = read_anatomy(folder, subject).columns
    check_columns(folder, subject, len(columns))
    files = pycortex_files(folder, subject)
    return pycortex_pixels(files, columns.volume_index, height=height)


def _flat_pixels(folder: Path, subject: str, height: int) -> FlatPixels:
    anatomy = read_anatomy(folder, subject)
    check_columns(folder, subject, len(anatomy.columns))
    left, right = (
        FlatHemisphere(mesh.points[:, :2], mesh.faces, columns)
        for mesh, columns in zip(anatomy.read_flat(), anatomy.vertex_columns, strict=True)
    )
    return flat_pixels(left, right, n_targets=len(anatomy.columns), height=height)


PIXELS: dict[str, Callable[[Path, str, int], FlatPixels]] = {
    "pycortex": _pycortex_pixels,
    "flat": _flat_pixels,
}
"""Roads to the pixels of a flatmap, the best one first; dataset, subject and height are given."""


def _flat_canvas(road: str, folder: Path, subject: str) -> Canvas:
    pixels = PIXELS[road](folder, subject, HEIGHT)

    def draw(one: VoxelValues, title: str, settings: MapSettings) -> bytes:
        return flatmap_image(pixels, one.values, title=title, settings=settings)

    return Canvas(flatmap_words(road), draw)


def _by_fsaverage5(folder: Path, subject: str) -> Canvas:
    space = _placed_space(folder, subject)

    def draw(one: VoxelValues, title: str, settings: MapSettings) -> bytes:
        return fsaverage5_image(space, one.values, title=title, settings=settings)

    return Canvas("inflated fsaverage5, no flatmap", draw)


def _placed_space(folder: Path, subject: str) -> Space:
    """Vertices as `data place` wrote them; else placed now."""
    with suppress(InputError):
        space = open_dataset("lebel2023", folder).space(subject)
        if space.vertices is not None:
            return space
    anatomy = read_anatomy(folder, subject)
    check_columns(folder, subject, len(anatomy.columns))
    vertices = fsaverage5_vertices(anatomy, fsaverage5_sphere())
    return Space("voxels", len(vertices), vertices=vertices)


ROADS: dict[str, Callable[[Path, str], Canvas]] = {
    **{road: partial(_flat_canvas, road) for road in PIXELS},
    "fsaverage5": _by_fsaverage5,
}
