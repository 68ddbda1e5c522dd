"""What figures show beside the scores: curves, and arms less a reference arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from brainaligner.core import InputError, frozen_array
from brainaligner.evaluation import Interval
from brainaligner.report._flat_pixels import FlatPixels


@dataclass(frozen=True)
class Line:
    """One line of a curve.

    Parameters
    ----------
    name : str
        Lines of the same name look alike and share one entry of the legend.
    x, y : tuple of float
        NaN in `y` is left out.
    low, high : tuple of float
        Ends of the intervals of `y`; empty where there are none.
    marked : float, optional
        The x that was chosen.
    faint : bool
        Whether it stands behind the others, dashed.

    Raises
    ------
    InputError
        If the tuples differ in length.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    marked: float | None = None
    faint: bool = False

    def __post_init__(self) -> None:
        sizes = {len(self.x), len(self.y)}
        if self.low or self.high:
            sizes |= {len(self.low), len(self.high)}
        if len(sizes) > 1:
            raise InputError(
                f"line {self.name!r}",
                got=f"{len(self.x)} x, {len(self.y)} y, {len(self.low)} and {len(self.high)} ends",
                wanted="as many of each",
                do="Leave out points without a value.",
            )


@dataclass(frozen=True)
class Curve:
    """A figure of lines.

    Parameters
    ----------
    kind : {"layer", "context", "lag", "alpha", "training"}
        Which heading it stands under.
    title : str
    x_name, y_name : str
        What the axes are, with units.
    lines : tuple of Line
    note : str
        What has to be known of it; stands below.
    keys : tuple of str
        Of the artifacts that it is drawn from.
    logarithmic : bool
        Whether x is.
    """

    kind: str
    title: str
    x_name: str
    y_name: str
    lines: tuple[Line, ...]
    note: str = ""
    keys: tuple[str, ...] = ()
    logarithmic: bool = False


@dataclass(frozen=True, eq=False)
class Difference:
    """An arm less the reference arm in one subject, on the same stories.

    Parameters
    ----------
    arm, reference, subject, group : str
    rows_cut : int
        Rows dropped at each end of each story.
    mean : float
        Mean r of the arm less that of the reference.
    interval : Interval
        Of `mean`, paired.
    values : float64 array, shape (target,)
        r of the arm less r of the reference.
    q : float64 array, shape (target,)
        p of the paired test of each target, two-sided, adjusted by Benjamini and Hochberg; NaN
        where nothing could be tested.
    q_bound : float
        Rate of false discoveries at or under which a target is significant.
    stories : mapping of story to (float, float)
        Mean r over targets of each story by itself, of the reference and of the arm.
    key : str
        Of the artifact.
    """

    arm: str
    reference: str
    subject: str
    group: str
    rows_cut: int
    mean: float
    interval: Interval
    values: Float64[np.ndarray, "target"]
    q: Float64[np.ndarray, "target"]
    q_bound: float = 0.05
    stories: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen_array(self.values))
        object.__setattr__(self, "q", frozen_array(self.q))
        if self.values.shape != self.q.shape:
            raise InputError(
                f"difference of {self.arm} in {self.subject}",
                got=f"{self.values.size} values, {self.q.size} adjusted p",
                wanted="one of each for every target",
                do="Pass both as one paired test returned them.",
            )

    @property
    def facts(self) -> dict[str, object]:
        """What it is of, and its mean with its interval, by name."""
        return {
            "arm": self.arm,
            "reference": self.reference,
            "subject": self.subject,
            "group": self.group,
            "rows_cut": self.rows_cut,
            "difference": self.mean,
            "interval_low": self.interval.low,
            "interval_high": self.interval.high,
            "interval_level": self.interval.level,
            "interval_method": self.interval.method,
            "interval_units": self.interval.n_units,
        }

    @property
    def direction(self) -> str:
        """What the interval says; ``"undecided"`` where it holds 0 or there is none."""
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "undecided"


@dataclass(frozen=True, eq=False)
class Flatmap:
    """The cut and flattened cortex of a subject, to paint values on.

    Parameters
    ----------
    pixels : FlatPixels
    how : str
        By what it was laid out.
    key : str
        Of the artifact.
    """

    pixels: FlatPixels
    how: str
    key: str = ""
