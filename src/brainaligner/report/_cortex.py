"""Maps of the cortex on the fsaverage5 surface, which nilearn ships: nothing is downloaded."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from brainaligner.core import FSAVERAGE5_VERTICES, InputError, Space, frozen_array
from brainaligner.report._svg import INK, any_script
from brainaligner.report._words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

FILL_MM = 6.0
GAP_MM = 12.0
HALF = FSAVERAGE5_VERTICES // 2
# (hemisphere, side that faces the reader: -1 left, 1 right, name), in reading order
VIEWS = (
    (0, -1, "left lateral"),
    (1, 1, "right lateral"),
    (0, 1, "left medial"),
    (1, -1, "right medial"),
)


@dataclass(frozen=True, eq=False)
class _Hemisphere:
    """One half of fsaverage5: where it lies, how it is drawn, how it folds."""

    white: Float[np.ndarray, "vertex 3"]
    inflated: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    sulci: Float[np.ndarray, "vertex"]


def fsaverage5_coordinates() -> Float[np.ndarray, "vertex 3"]:
    """Place of each fsaverage5 vertex on the white-matter surface.

    Returns
    -------
    float64 array, shape (20484, 3)
        Millimetres, left hemisphere first. The white surface is taken because there the
        two banks of a sulcus lie further apart than on the pial one.
    """
    return np.concatenate([half.white for half in _hemispheres()])


@functools.cache
def fsaverage5_sphere() -> Float[np.ndarray, "vertex 3"]:
    """Place of each fsaverage5 vertex on the sphere to which FreeSurfer registers subjects.

    Returns
    -------
    float64 array, shape (20484, 3)
        Left hemisphere first.
    """
    from nilearn.datasets import load_fsaverage

    parts = load_fsaverage("fsaverage5")["sphere"].parts
    halves = [np.asarray(parts[side].coordinates, np.float64) for side in ("left", "right")]
    return frozen_array(np.concatenate(halves))


@dataclass(frozen=True, eq=False)
class CortexMesh:
    """Both inflated hemispheres of fsaverage5, side by side, to be turned by hand.

    Parameters
    ----------
    coordinates : float64 array, shape (20484, 3)
        Millimetres, left hemisphere first; the halves are moved apart.
    faces : int64 array, shape (40960, 3)
        Vertices of each triangle.
    sulci : bool array, shape (20484,)
        Whether a vertex lies in a sulcus.
    """

    coordinates: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    sulci: Bool[np.ndarray, "vertex"]


def cortex_mesh() -> CortexMesh:
    """Give the surface on which `on_vertices` paints values."""
    left, right = _hemispheres()
    beside = np.array([[1.0, 0.0, 0.0]])
    halves = (
        left.inflated - beside * (left.inflated[:, 0].max() + GAP_MM / 2),
        right.inflated - beside * (right.inflated[:, 0].min() - GAP_MM / 2),
    )
    return CortexMesh(
        np.concatenate(halves),
        np.concatenate([left.faces, right.faces + HALF]),
        np.concatenate([left.sulci, right.sulci]) > 0,
    )


def no_map_reason(space: Space) -> str | None:
    """Say why no cortex map can be drawn of this space, or None where one can."""
    if space.vertices is not None:
        if (space.vertices >= 0).any():
            return None
        return f"None of the {space.kind} lies on the cortical surface."
    if space.kind == "components":
        return (
            "The targets are components: each is a pattern over the whole cortex, so a "
            "component's score has no place of its own on a map."
        )
    return (
        f"The data set does not say where its {space.kind} lie on the cortical surface "
        "(fsaverage5), so no map can be drawn."
    )


def cortex_figure(
    space: Space,
    values: Float[np.ndarray, "target"],
    *,
    title: str,
    limits: tuple[float, float] | None = None,
) -> str | None:
    """Paint one value per target on the inflated cortex, four views and one colour bar.

    A vertex with several targets shows their mean; one with none shows the nearest
    vertex that has some, up to 6 mm along the surface. All else is grey.

    Parameters
    ----------
    space : Space
    values : float array, shape (target,)
        NaN is left out.
    title : str
        Stands above the map.
    limits : (low, high), optional
        Ends of the colour bar; 0 and the 99th percentile by default.

    Returns
    -------
    str or None
        A PNG as a ``data:`` address; None where `no_map_reason` has one.

    Raises
    ------
    InputError
        If `values` does not fit the space or `limits` are not ascending.
    """
    if values.shape != (space.size,):
        raise InputError(
            "cortex map",
            got=f"values of shape {values.shape}",
            wanted=f"({space.size},)",
            do="Give one value for each target.",
        )
    if space.vertices is None or no_map_reason(space) is not None:
        return None
    painted = on_vertices(space.vertices, values)
    low, high = colour_limits(values) if limits is None else limits
    if not low < high:
        raise InputError(
            "cortex map, limits",
            got=f"({low}, {high})",
            wanted="two ascending numbers",
            do="Leave them out to have them chosen.",
        )
    figure = surface_figure(painted, plain(title), (low, high))
    buffer = io.BytesIO()
    with any_script():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def colour_limits(*values: Float[np.ndarray, "_"]) -> tuple[float, float]:
    """Ends of a colour bar for all of `values`: 0 and their 99th percentile."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    top = float(np.percentile(finite, 99)) if len(finite) else 0.0
    return 0.0, top if top > 0.01 else 0.01


@functools.cache
def _hemispheres() -> tuple[_Hemisphere, _Hemisphere]:
    from nilearn.datasets import load_fsaverage, load_fsaverage_data

    meshes = load_fsaverage("fsaverage5")
    sulci = load_fsaverage_data("fsaverage5", data_type="sulcal").data.parts
    left, right = (
        _Hemisphere(
            white=np.asarray(meshes["white_matter"].parts[side].coordinates, dtype=np.float64),
            inflated=np.asarray(meshes["inflated"].parts[side].coordinates, dtype=np.float64),
            faces=np.asarray(meshes["inflated"].parts[side].faces, dtype=np.int64),
            sulci=np.asarray(sulci[side], dtype=np.float64),
        )
        for side in ("left", "right")
    )
    return left, right


def on_vertices(
    vertices: Int[np.ndarray, "target"], values: Float[np.ndarray, "target"]
) -> Float[np.ndarray, "vertex"]:
    """Mean of the targets at each vertex, gaps filled from nearby; NaN elsewhere."""
    placed = (vertices >= 0) & np.isfinite(values)
    at = vertices[placed]
    counts = np.bincount(at, minlength=FSAVERAGE5_VERTICES)
    sums = np.bincount(at, weights=values[placed], minlength=FSAVERAGE5_VERTICES)
    means = np.full(FSAVERAGE5_VERTICES, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    halves = (means[:HALF], means[HALF:])
    return np.concatenate(
        [_filled(half, own) for half, own in zip(_hemispheres(), halves, strict=True)]
    )


def _filled(half: _Hemisphere, own: Float[np.ndarray, "vertex"]) -> Float[np.ndarray, "vertex"]:
    """Give each empty vertex the value of the nearest full one within `FILL_MM`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    full = np.flatnonzero(np.isfinite(own))
    if len(full) == 0:
        return own
    ends = np.concatenate([half.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    lengths = np.linalg.norm(half.white[ends[:, 0]] - half.white[ends[:, 1]], axis=1)
    # A closed, consistently oriented mesh lists each edge once in each direction.
    edges = coo_array((lengths, (ends[:, 0], ends[:, 1])), shape=(len(own), len(own))).tocsr()
    _, _, nearest = dijkstra(
        edges, indices=full, min_only=True, limit=FILL_MM, return_predecessors=True
    )
    return np.where(nearest >= 0, own[np.maximum(nearest, 0)], np.nan)


def surface_figure(
    painted: Float[np.ndarray, "vertex"],
    title: str,
    limits: tuple[float, float],
    *,
    label: str = "Pearson r",
    colour_map: str = "viridis",
) -> Figure:
    """Draw four views of painted vertices, and a colour bar that says what it is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.3), dpi=150, facecolor="white")
    colours = ScalarMappable(Normalize(*limits), colour_map)
    figure.text(
        0.5, 0.965, title, ha="center", va="center", color=INK, fontsize=10, parse_math=False
    )
    for place, (half, side, name) in enumerate(VIEWS):
        left, bottom = 0.01 + 0.5 * (place % 2), 0.545 - 0.4 * (place // 2)
        axes = figure.add_axes((left, bottom, 0.48, 0.35))
        own = painted[half * HALF : (half + 1) * HALF]
        _draw_view(axes, _hemispheres()[half], own, side, colours)
        axes.set_title(name, fontsize=8, color=INK, pad=3)
    bar = figure.add_axes((0.25, 0.1, 0.5, 0.022))
    figure.colorbar(colours, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=8, colors=INK)
    bar.set_xlabel(label, fontsize=8, color=INK, labelpad=1, parse_math=False)
    return figure


def _draw_view(
    axes: Axes,
    half: _Hemisphere,
    own: Float[np.ndarray, "vertex"],
    side: int,
    colours: ScalarMappable,
) -> None:
    """Draw one hemisphere as seen from the left (-1) or the right (1), far faces first."""
    from matplotlib.collections import TriMesh
    from matplotlib.tri import Triangulation

    x, y = side * half.inflated[:, 1], half.inflated[:, 2]
    towards = side * _normals(half)[:, 0]
    depth = (side * half.inflated[:, 0])[half.faces].mean(axis=1)
    facing = towards[half.faces].max(axis=1) > 0
    order = np.argsort(depth, kind="stable")
    mesh = TriMesh(Triangulation(x, y, half.faces[order[facing[order]]]))
    mesh.set_facecolor(_shaded(half, own, towards, colours))
    axes.add_collection(mesh, autolim=False)
    axes.set_xlim(x.min() - 2, x.max() + 2)
    axes.set_ylim(y.min() - 2, y.max() + 2)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _shaded(
    half: _Hemisphere,
    own: Float[np.ndarray, "vertex"],
    towards: Float[np.ndarray, "vertex"],
    colours: ScalarMappable,
) -> Float[np.ndarray, "vertex 4"]:
    """Colour of each vertex: its value, or grey (darker in sulci), dimmed at the rim."""
    grey = np.where(half.sulci > 0, 0.70, 0.82)
    bare = np.column_stack([grey, grey, grey, np.ones_like(grey)])
    painted = colours.to_rgba(np.nan_to_num(own))
    rgba = np.where(np.isfinite(own)[:, None], painted, bare)
    rgba[:, :3] *= (0.55 + 0.45 * np.clip(towards, 0, 1) ** 0.6)[:, None]
    return rgba


def _normals(half: _Hemisphere) -> Float[np.ndarray, "vertex 3"]:
    """Outward unit normal of each vertex of the drawn surface."""
    corners = half.inflated[half.faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(half.inflated)
    for i in range(3):
        np.add.at(normals, half.faces[:, i], of_faces)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
