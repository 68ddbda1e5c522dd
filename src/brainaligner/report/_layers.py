"""A map in two layers: a picture of the cortex, and letters over it that stay letters.

Letters of a page are drawn by the reader's own fonts, so that they can be in any language, and
stay sharp, searchable and translated; the cortex, of many thousand faces, is a compressed image.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainaligner.report._svg import any_script, svg_text

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "picture"
QUALITY = 85  # of WebP; at 92 a map is a quarter larger, and looks the same


def as_picture(axes: Axes) -> None:
    """Mark axes as part of the picture: all in them but their title."""
    axes.set_label(PICTURE)


def webp_address(figure: Figure, *, transparent: bool = False) -> str:
    """A figure as a WebP image in a ``data:`` address."""
    buffer = io.BytesIO()
    with any_script():
        figure.savefig(
            buffer, format="webp", transparent=transparent, pil_kwargs={"quality": QUALITY}
        )
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def layered_svg(figure: Figure, title: str, description: str) -> str:
    """Write a figure as an ``<svg>`` element: a WebP image, and all letters as text.

    Parameters
    ----------
    figure : Figure
        Axes that `as_picture` marked become the image.
    title, description : str
        In words, as for `svg_text`.
    """
    pictures = [axes for axes in figure.axes if axes.get_label() == PICTURE]
    titles = [axes.title for axes in pictures]
    drawn = [artist for axes in pictures for artist in axes.get_children() if artist not in titles]
    letters = [*titles, *figure.texts, *(axes for axes in figure.axes if axes not in pictures)]
    with _hidden(letters):
        image = webp_address(figure)
    with _hidden([*drawn, figure.patch]), _images_apart():
        text = svg_text(figure, title, description)
    opening, rest = text.split("</desc>", 1)
    width, height = (72 * size for size in figure.get_size_inches())
    layer = f'<image width="{width:g}" height="{height:g}" href="{image}"/>'
    return f"{opening}</desc>{layer}{rest}"


@contextmanager
def _images_apart() -> Iterator[None]:
    """Images that matplotlib puts together into one are drawn though they are hidden."""
    import matplotlib

    with matplotlib.rc_context({"image.composite_image": False}):
        yield


@contextmanager
def _hidden(artists: Sequence[Artist]) -> Iterator[None]:
    shown = [artist for artist in artists if artist.get_visible()]
    for artist in shown:
        artist.set_visible(False)
    try:
        yield
    finally:
        for artist in shown:
            artist.set_visible(True)
