"""Brain encoders: the responses of one subject -> one vector per TR, with provenance."""

from brainaligner.brain._material import (
    BrainMaterial,
    BrainVectors,
    ParcelSeries,
    Provenance,
    Recording,
    StoryDesigns,
)

__all__ = [
    "BrainMaterial",
    "BrainVectors",
    "ParcelSeries",
    "Provenance",
    "Recording",
    "StoryDesigns",
]
