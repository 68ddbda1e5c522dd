"""A recording that shows each array to a witness as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from brainaligner.brain._material import BrainMaterial, ParcelSeries, Recording
from brainaligner.core import Witness


@dataclass(frozen=True, eq=False)
class WitnessedRecording:
    """Responses in the role ``"brain"``, single presentations in ``"brain-repeats"``."""

    recording: Recording
    witness: Witness

    @property
    def n_targets(self) -> int:
        """Columns of the responses."""
        return self.recording.n_targets

    @property
    def kind(self) -> str:
        """What the columns are."""
        return self.recording.kind

    def rows(self, story: str) -> int:
        """TRs of a story."""
        return self.recording.rows(story)

    def responses(self, story: str, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to a story at a slice of targets, as they were read."""
        values = self.recording.responses(story, targets)
        self.witness("brain/responses", story, values, targets.start or 0)
        return values

    def repeats(self, story: str, targets: slice) -> Float[np.ndarray, "repeat time target"] | None:
        """Single presentations of a story, as they were read."""
        values = self.recording.repeats(story, targets)
        if values is not None:
            self.witness("brain-repeats/responses", story, values.mean(0), targets.start or 0)
        return values


@dataclass(frozen=True, eq=False)
class WitnessedParcels:
    """Parcel means in the role ``"brain"``."""

    series: ParcelSeries
    witness: Witness

    @property
    def coverage(self) -> Sequence[int]:
        """Columns behind each parcel."""
        return self.series.coverage

    def parcels(self, story: str) -> Float[np.ndarray, "time parcel"]:
        """Means of a story, as they were read."""
        values = self.series.parcels(story)
        self.witness("brain/parcels", story, values, 0)
        return values


def witnessed_material(material: BrainMaterial, witness: Witness) -> BrainMaterial:
    """All of the material's responses under the eyes of a witness."""
    series = material.parcels
    return replace(
        material,
        recording=WitnessedRecording(material.recording, witness),
        parcels=None if series is None else WitnessedParcels(series, witness),
    )
