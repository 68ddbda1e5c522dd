"""Maps of the cortex on the fsaverage5 surface, which nilearn ships: nothing is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from brainaligner.core import InputError, Space
from brainaligner.report._layers import as_picture, webp_address
from brainaligner.report._map_settings import MapSettings
from brainaligner.report._mesh import HALF, Hemisphere, hemispheres, on_vertices
from brainaligner.report._svg import INK
from brainaligner.report._words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

# (hemisphere, side that faces the reader: -1 left, 1 right), in reading order
VIEWS = ((0, -1), (1, 1), (0, 1), (1, -1))


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
    outlined: Bool[np.ndarray, "target"] | None = None,
    label: str = "Pearson r",
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
        Ends of the colour bar; 0 and the 99th percentile by default. With 0 between them colours
        diverge from white.
    outlined : bool array, shape (target,), optional
        Targets to draw a line around: where they are at least half of those that a vertex shows.
    label : str
        What the values are; stands at the colour bar.

    Returns
    -------
    str or None
        A WebP image as a ``data:`` address; None where `no_map_reason` has one.

    Raises
    ------
    InputError
        If `values` or `outlined` do not fit the space, or `limits` are not ascending.
    """
    settings = MapSettings(label, colour_limits(values) if limits is None else limits)
    figure = cortex_canvas(space, values, title=title, settings=settings, outlined=outlined)
    return None if figure is None else webp_address(figure)


def cortex_canvas(
    space: Space,
    values: Float[np.ndarray, "target"],
    *,
    title: str,
    settings: MapSettings,
    outlined: Bool[np.ndarray, "target"] | None = None,
) -> Figure | None:
    """Paint as `cortex_figure` does, and return the figure itself.

    Raises
    ------
    InputError
        If `values` or `outlined` do not fit the space.
    """
    shapes = {values.shape} if outlined is None else {values.shape, outlined.shape}
    if shapes != {(space.size,)}:
        raise InputError(
            "cortex map",
            got=f"values of shape {' and '.join(map(str, sorted(shapes)))}",
            wanted=f"({space.size},)",
            do="Give one value for each target.",
        )
    if space.vertices is None or no_map_reason(space) is not None:
        return None
    within = None
    if outlined is not None:
        within = on_vertices(space.vertices, shares(outlined, values)) >= 0.5
    return surface_figure(on_vertices(space.vertices, values), title, settings, outlined=within)


def shares(
    outlined: Bool[np.ndarray, "target"], values: Float[np.ndarray, "target"]
) -> Float[np.ndarray, "target"]:
    """1 and 0 for targets with and without a line around them; NaN for those without a value."""
    return np.where(np.isfinite(values), outlined, np.nan)


def colour_limits(*values: Float[np.ndarray, "_"]) -> tuple[float, float]:
    """Ends of a colour bar for all of `values`: 0 and their 99th percentile."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    top = float(np.percentile(finite, 99)) if len(finite) else 0.0
    return 0.0, top if top > 0.01 else 0.01


def surface_figure(
    painted: Float[np.ndarray, "vertex"],
    title: str,
    settings: MapSettings,
    *,
    outlined: Bool[np.ndarray, "vertex"] | None = None,
) -> Figure:
    """Draw four views of painted vertices, and a colour bar that says what it is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.3), dpi=150, facecolor="white")
    colours = ScalarMappable(Normalize(*settings.limits), settings.colour_map)
    figure.text(
        0.5, 0.965, plain(title), ha="center", va="center", color=INK, fontsize=10, parse_math=False
    )
    for place, ((half, side), name) in enumerate(zip(VIEWS, settings.letters.views, strict=True)):
        left, bottom = 0.01 + 0.5 * (place % 2), 0.545 - 0.4 * (place // 2)
        axes = figure.add_axes((left, bottom, 0.48, 0.35))
        as_picture(axes)
        vertices = slice(half * HALF, (half + 1) * HALF)
        _draw_view(axes, hemispheres()[half], painted[vertices], side, colours)
        if outlined is not None:
            _draw_outline(axes, hemispheres()[half], outlined[vertices], side)
        axes.set_title(plain(name), fontsize=8, color=INK, pad=3, parse_math=False)
    bar = figure.add_axes((0.25, 0.1, 0.5, 0.022))
    figure.colorbar(colours, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=8, colors=INK)
    bar.set_xlabel(plain(settings.label), fontsize=8, color=INK, labelpad=1, parse_math=False)
    return figure


def _draw_view(
    axes: Axes,
    half: Hemisphere,
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


def _draw_outline(
    axes: Axes, half: Hemisphere, within: Bool[np.ndarray, "vertex"], side: int
) -> None:
    """Draw a line around vertices on the side that faces the reader."""
    from matplotlib.tri import Triangulation

    facing = (side * _normals(half)[:, 0])[half.faces].min(axis=1) > 0
    if not within[half.faces[facing]].any():
        return
    seen = Triangulation(side * half.inflated[:, 1], half.inflated[:, 2], half.faces[facing])
    axes.tricontour(seen, within.astype(np.float64), levels=[0.5], colors=INK, linewidths=0.8)


def _shaded(
    half: Hemisphere,
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


def _normals(half: Hemisphere) -> Float[np.ndarray, "vertex 3"]:
    """Outward unit normal of each vertex of the drawn surface."""
    corners = half.inflated[half.faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(half.inflated)
    for i in range(3):
        np.add.at(normals, half.faces[:, i], of_faces)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
