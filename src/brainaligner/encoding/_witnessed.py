"""Stories that show each array to a witness as it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainaligner.core import Witness
from brainaligner.encoding._stories import Designs, Stories


@dataclass(frozen=True, eq=False)
class WitnessedDesigns:
    """Designs in a role: ``"predict"``."""

    designs: Designs
    role: str
    witness: Witness

    def __len__(self) -> int:
        return len(self.designs)

    def design(self, i: int) -> Float[np.ndarray, "time feature"]:
        """Features of story `i`, as they were read."""
        values = self.designs.design(i)
        self.witness(f"{self.role}/design", i, values, 0)
        return values


@dataclass(frozen=True, eq=False)
class WitnessedStories(WitnessedDesigns):
    """Stories in a role: ``"fit"`` or ``"choose"``."""

    designs: Stories

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.designs.n_targets

    def responses(self, i: int, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to story `i` at a slice of targets, as they were read."""
        values = self.designs.responses(i, targets)
        self.witness(f"{self.role}/responses", i, values, targets.start or 0)
        return values


def witnessed_sides(
    train: Stories, validation: Stories | None, witness: Witness
) -> tuple[Stories, Stories | None]:
    """Both sides of a fit: what fits, and what chooses."""
    chooses = None if validation is None else WitnessedStories(validation, "choose", witness)
    return WitnessedStories(train, "fit", witness), chooses
