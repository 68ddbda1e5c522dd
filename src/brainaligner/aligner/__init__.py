"""Language models tuned on brain activity: model, objective, training."""

from brainaligner.aligner._material import AlignerMaterial, shift_brain
from brainaligner.aligner._settings import AlignerSettings, LoraSettings, TuningOptions

__all__ = [
    "AlignerMaterial",
    "AlignerSettings",
    "LoraSettings",
    "TuningOptions",
    "shift_brain",
]
