"""The other-listener reference: what a study file may say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from brainaligner.core import InputError
from brainaligner.encoding import RidgeSettings


@dataclass(frozen=True)
class ListenersConfig:
    """Ridge from the other listeners' responses to the same story, shown beside every table.

    Parameters
    ----------
    shown : bool
        Whether it is computed. It needs two subjects or more who heard the same stories.
    components : int
        Principal components of each other listener's training responses, where there are more
        targets than that. They keep it affordable; fewer targets enter as they are.
    ridge : RidgeSettings
        ``argmin ||Y - X W||^2 + alpha ||W||^2`` (Huth lab: the square root of this alpha). Alphas
        at the upper end of the grid are usual here: responses are noisy predictors.

    Raises
    ------
    InputError
        For fewer than one component.
    """

    shown: bool = True
    components: int = 200
    ridge: RidgeSettings = field(default_factory=RidgeSettings)

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InputError(
                "other_listeners.components",
                got=str(self.components),
                wanted="1 or more",
                do="Use 200, or shown: false to leave the reference out.",
            )
