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
from brainaligner.brain._brainlm_config import BRAINLM_GEOMETRIES, N_PARCELS, BrainLMConfig
from brainaligner.brain._brainlm_encode import encode_brainlm
from brainaligner.brain._brainlm_settings import BrainLMSettings
from brainaligner.brain._encoders import ENCODERS, Encoder, brain_vectors, vector_width
from brainaligner.brain._material import (
    BrainMaterial,
    BrainVectors,
    ParcelSeries,
    Provenance,
    Recording,
    StoryDesigns,
)
from brainaligner.brain._moved import borrow, shift_in_time
from brainaligner.brain._pca import check_pca_width
from brainaligner.brain._settings import BrainSettings, EncoderOptions

__all__ = [
    "BRAINLM_GEOMETRIES",
    "ENCODERS",
    "N_PARCELS",
    "BrainLM",
    "BrainLMConfig",
    "BrainLMInfo",
    "BrainLMSettings",
    "BrainMaterial",
    "BrainSettings",
    "BrainVectors",
    "Encoder",
    "EncoderOptions",
    "ParcelSeries",
    "Provenance",
    "ReconstructionCheck",
    "ReconstructionSettings",
    "Recording",
    "StoryDesigns",
    "borrow",
    "brain_vectors",
    "brainlm_info",
    "check_pca_width",
    "encode_brainlm",
    "load_brainlm",
    "random_brainlm",
    "reconstruction_r2",
    "shift_in_time",
    "vector_width",
]
