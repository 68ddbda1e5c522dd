"""How well one arm predicted one subject on one group of stories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from brainaligner.core._arrays import frozen_array
from brainaligner.core._errors import InputError, unknown_name
from brainaligner.core._space import Space

PRESENTATIONS = ("single", "repeated")


@dataclass(frozen=True)
class StoryGroup:
    """Stories that are scored together, all single-presentation or all repeated."""

    name: str
    stories: tuple[str, ...]
    presentations: str = "single"

    def __post_init__(self) -> None:
        if self.presentations not in PRESENTATIONS:
            raise unknown_name("story group", "kind", self.presentations, PRESENTATIONS)
        if not self.stories or len(set(self.stories)) < len(self.stories):
            raise InputError(
                f"story group {self.name!r}",
                got=", ".join(self.stories) or "no stories",
                wanted="at least one story, each once",
                do="Correct the list, or leave the group out.",
            )


@dataclass(frozen=True, eq=False)
class Scores:
    """Pearson r of each target, with all that is needed to say what it is.

    Parameters
    ----------
    arm, subject : str
    group : StoryGroup
        The stories; rows are concatenated before correlating.
    space : Space
    r : float64 array, shape (target,)
        NaN where the measured or the predicted series has no variance.
    n_rows : int
        TRs that entered.
    rows_cut : int
        Rows dropped at each end of each story.
    label : str
        ``"held-out stories"`` or ``"within one story"``.
    """

    arm: str
    subject: str
    group: StoryGroup
    space: Space
    r: Float64[np.ndarray, "target"]
    n_rows: int
    rows_cut: int = 0
    label: str = "held-out stories"

    def __post_init__(self) -> None:
        r = np.asarray(self.r, dtype=np.float64)
        if r.shape != (self.space.size,) or (np.abs(r[~np.isnan(r)]) > 1 + 1e-9).any():
            raise InputError(
                f"scores of {self.arm} in {self.subject}",
                got=f"r of shape {r.shape}",
                wanted=f"({self.space.size},), each within [-1, 1]",
                do="Give one correlation for each target.",
            )
        object.__setattr__(self, "r", frozen_array(r))
