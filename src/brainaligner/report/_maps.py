"""Maps of any values, as PNG or SVG files that say in words what they show."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from brainaligner.core import InputError, Space
from brainaligner.report._cortex import no_map_reason, shares, surface_figure
from brainaligner.report._flat_pixels import FlatPixels
from brainaligner.report._layers import as_picture
from brainaligner.report._map_settings import MapSettings
from brainaligner.report._mesh import on_vertices
from brainaligner.report._svg import INK, any_script, svg_text
from brainaligner.report._words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "0.82"
WIDTH = 8.0  # inches
DPI = 200
MARGINS = 1.0  # inches for title and colour bar


def map_limits(*values: Float[np.ndarray, "_"]) -> tuple[float, float]:
    """Ends of a colour bar for all of `values`: 0 and their 99th percentile.

    Where that is not above 0: their lowest and highest, or 0 and 1 for one value and none.
    """
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    top = float(np.percentile(finite, 99)) if len(finite) else 0.0
    if top > 0:
        return 0.0, top
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return (low, high) if low < high else (0.0, 1.0)


def flatmap_image(
    pixels: FlatPixels, values: Float[np.ndarray, "target"], *, title: str, settings: MapSettings
) -> bytes:
    """Draw one value per target on the cut and flattened cortex of a subject.

    Left hemisphere on the left. Cortex without a value is grey; voxels between the pixels of
    the map, or away from the cortex, do not show.

    Parameters
    ----------
    pixels : FlatPixels
    values : float array, shape (target,)
        NaN is left out.
    title : str
    settings : MapSettings

    Returns
    -------
    bytes
        The file. Its text alternative stands in ``Description`` (PNG) or ``desc`` (SVG).

    Raises
    ------
    InputError
        If there is not one value per target.
    """
    _check_size(values, pixels.n_targets)
    figure = flat_figure(pixels, values, title=title, settings=settings)
    words = (
        "Flatmap of the cortex, left hemisphere on the left. "
        f"{pixels.covered(values):.0%} of it has a value; "
        f"the rest is grey. {_value_words(values, settings)}"
    )
    return _file(figure, title, words, settings.form)


def fsaverage5_image(
    space: Space, values: Float[np.ndarray, "target"], *, title: str, settings: MapSettings
) -> bytes:
    """Draw one value per target on fsaverage5, inflated, from four sides.

    Parameters
    ----------
    space, values, title, settings
        As `cortex_figure` and `flatmap_image`.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    InputError
        If no map can be drawn of this space, or there is not one value per target.
    """
    _check_size(values, space.size)
    reason = no_map_reason(space)
    if space.vertices is None or reason is not None:
        raise InputError(
            "cortex map",
            got=reason or "no vertices",
            wanted="targets with a place on the surface",
            do="Run `brainaligner data place`.",
        )
    painted = on_vertices(space.vertices, values)
    figure = surface_figure(painted, title, settings)
    words = (
        "Four views of the inflated cortex of fsaverage5; what has no value within 6 mm is "
        f"grey. {_value_words(values, settings)}"
    )
    return _file(figure, title, words, settings.form)


def _check_size(values: np.ndarray, size: int) -> None:
    if values.shape != (size,):
        raise InputError(
            "map",
            got=f"values of shape {values.shape}",
            wanted=f"({size},)",
            do="Give one value for each target.",
        )


def _value_words(values: Float[np.ndarray, "target"], settings: MapSettings) -> str:
    finite = values[np.isfinite(values)]
    low, high = settings.limits
    text = f"{plain(settings.label)}, colours from {low:.4g} to {high:.4g}; {len(finite)} of "
    text += f"{len(values)} targets have a value"
    if len(finite) == 0:
        return f"{text}."
    lowest, middle, highest = np.percentile(finite, (0, 50, 100))
    return f"{text}, lowest {lowest:.4g}, median {middle:.4g}, highest {highest:.4g}."


def flat_figure(
    pixels: FlatPixels,
    values: Float[np.ndarray, "target"],
    *,
    title: str,
    settings: MapSettings,
    outlined: Bool[np.ndarray, "target"] | None = None,
    width: float = WIDTH,
    dpi: int = DPI,
) -> Figure:
    """Draw one value per target on a flatmap.

    Parameters
    ----------
    pixels, values, title, settings
        As `flatmap_image`.
    outlined : bool array, shape (target,), optional
        Targets to draw a line around: where they are at least half of what a pixel shows.
    width : float
        In inches.
    dpi : int
        Pixels of an inch.
    """
    from matplotlib.figure import Figure

    rows, columns = pixels.inside.shape
    height = width * rows / columns + MARGINS
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    axes = figure.add_axes((0.01, 0.62 / height, 0.98, 1 - MARGINS / height))
    axes.set_axis_off()
    as_picture(axes)
    grey = np.where(pixels.inside, float(GREY), np.nan)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    low, high = settings.limits
    image = axes.imshow(
        pixels.picture(values),
        cmap=settings.colour_map,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    if outlined is not None:
        _draw_outline(axes, pixels.picture(shares(outlined, values)) >= 0.5)
    figure.text(
        0.5, 1 - 0.18 / height, plain(title), ha="center", va="center", color=INK, parse_math=False
    )
    for x, anchor, name in zip(
        (0.01, 0.99), ("left", "right"), settings.letters.sides, strict=True
    ):
        figure.text(
            x, 0.62 / height, plain(name), ha=anchor, va="top", color=INK, fontsize=8,
            parse_math=False,
        )  # fmt: skip
    bar = figure.add_axes((0.3, 0.42 / height, 0.4, 0.12 / height))
    figure.colorbar(image, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=8, colors=INK)
    bar.set_xlabel(
        f"{plain(settings.label)} ({plain(settings.letters.bare)})",
        fontsize=8,
        color=INK,
        labelpad=1,
        parse_math=False,
    )
    return figure


def _draw_outline(axes: Axes, within: Bool[np.ndarray, "height width"]) -> None:
    if within.any() and not within.all():
        axes.contour(within.astype(np.float64), levels=[0.5], colors=INK, linewidths=0.8)


def _file(figure: Figure, title: str, words: str, form: str) -> bytes:
    if form == "svg":
        return svg_text(figure, title, words).encode()
    buffer = io.BytesIO()
    with any_script():
        metadata = {"Software": None, "Title": plain(title), "Description": plain(words)}
        figure.savefig(buffer, format="png", metadata=metadata)
    return buffer.getvalue()
