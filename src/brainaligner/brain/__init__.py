"""Brain encoders: the responses of one subject -> one vector per TR, with provenance."""

from brainaligner.brain._brainlm_check import (
    ReconstructionCheck,
    ReconstructionSettings,
    reconstruction_r2,
)
from brainaligner.brain._brainlm_checkpoint import (
    BrainLM,
    BrainLMInfo,
    brainlm_info,
    load_brainlm,
    random_brainlm,
)
from brainaligner.brain._brainlm_config import BRAINLM_GEOMETRIES, BrainLMConfig
from brainaligner.brain._brainlm_encode import encode_brainlm
from brainaligner.brain._brainlm_settings import BrainLMSettings
from brainaligner.brain._material import (
    BrainMaterial,
    BrainVectors,
    ParcelSeries,
    Provenance,
    Recording,
    StoryDesigns,
)

__all__ = [
    "BRAINLM_GEOMETRIES",
    "BrainLM",
    "BrainLMConfig",
    "BrainLMInfo",
    "BrainLMSettings",
    "BrainMaterial",
    "BrainVectors",
    "ParcelSeries",
    "Provenance",
    "ReconstructionCheck",
    "ReconstructionSettings",
    "Recording",
    "StoryDesigns",
    "brainlm_info",
    "encode_brainlm",
    "load_brainlm",
    "random_brainlm",
    "reconstruction_r2",
]
