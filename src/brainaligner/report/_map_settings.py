"""How a map is drawn: its colours, and the letters in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from brainaligner.core import InputError, settle_types, unknown_name

FORMATS = ("png", "svg")


@dataclass(frozen=True)
class MapLetters:
    """What stands in a map beside its title and label, in the language of the page.

    Parameters
    ----------
    views : tuple of str
        The four views of an inflated cortex, in reading order.
    sides : tuple of str
        The halves of a flatmap.
    bare : str
        What grey means.
    """

    views: tuple[str, str, str, str] = (
        *("left lateral", "right lateral"),
        *("left medial", "right medial"),
    )
    sides: tuple[str, str] = ("left hemisphere", "right hemisphere")
    bare: str = "grey: no value"


@dataclass(frozen=True)
class MapSettings:
    """How a map is drawn.

    Parameters
    ----------
    label : str
        What the values are; stands at the colour bar.
    limits : (low, high)
        Ends of the colour bar. With 0 between them colours diverge from white.
    form : {"png", "svg"}
        Of a map that is written as a file.
    letters : MapLetters
        English by default.

    Raises
    ------
    InputError
        If the limits are not two ascending finite numbers, or the form is unknown.
    """

    label: str
    limits: tuple[float, float]
    form: str = "png"
    letters: MapLetters = field(default_factory=MapLetters)

    def __post_init__(self) -> None:
        settle_types(self, where="map")
        if self.form not in FORMATS:
            raise unknown_name("map", "format", self.form, FORMATS)
        low, high = self.limits
        if not (np.isfinite(self.limits).all() and low < high):
            raise InputError(
                "map, limits",
                got=f"({low}, {high})",
                wanted="two ascending numbers",
                do="Leave them out to have them chosen.",
            )

    @property
    def colour_map(self) -> str:
        """Name of matplotlib's colour map."""
        return "RdBu_r" if self.limits[0] < 0 < self.limits[1] else "viridis"
