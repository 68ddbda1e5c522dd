"""Brain encoders: the responses of one subject -> one vector per TR, with provenance."""

from brainaligner.brain._encoders import ENCODERS, Encoder, brain_vectors
from brainaligner.brain._material import (
    BrainMaterial,
    BrainVectors,
    ParcelSeries,
    Provenance,
    Recording,
    StoryDesigns,
)
from brainaligner.brain._moved import borrow, shift_in_time
from brainaligner.brain._settings import BrainSettings, EncoderOptions

__all__ = [
    "ENCODERS",
    "BrainMaterial",
    "BrainSettings",
    "BrainVectors",
    "Encoder",
    "EncoderOptions",
    "ParcelSeries",
    "Provenance",
    "Recording",
    "StoryDesigns",
    "borrow",
    "brain_vectors",
    "shift_in_time",
]
