"""Language models tuned on brain activity: model, objective, training."""

from brainaligner.aligner._align import align, check_objectives
from brainaligner.aligner._head import HEAD_SETTINGS, LearnedHead, learn_head
from brainaligner.aligner._loss_settings import (
    AnchorSettings,
    ContrastiveSettings,
    LanguageSettings,
    MaskedBrainSettings,
    PredictSettings,
    ResponseHeadSettings,
)
from brainaligner.aligner._material import LEAST_SHIFT, AlignerMaterial, shift_brain
from brainaligner.aligner._model import BrainAligner, TextTower, load_aligner
from brainaligner.aligner._objective_run import Aligned
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._objectives import OBJECTIVES
from brainaligner.aligner._settings import AlignerSettings, LoraSettings, TuningOptions
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.aligner._tally import MaskedBits, masked_bits, unigram_bits
from brainaligner.aligner._tune import Tuned, check_tuning, tune

__all__ = [
    "HEAD_SETTINGS",
    "LEAST_SHIFT",
    "OBJECTIVES",
    "Aligned",
    "AlignerMaterial",
    "AlignerSettings",
    "AnchorSettings",
    "BrainAligner",
    "ContrastiveSettings",
    "LanguageSettings",
    "LearnedHead",
    "LoraSettings",
    "MaskedBits",
    "MaskedBrainSettings",
    "ObjectiveSettings",
    "PredictSettings",
    "ResponseHeadSettings",
    "StoryMaterial",
    "TextTower",
    "Tuned",
    "TuningOptions",
    "align",
    "check_objectives",
    "check_tuning",
    "learn_head",
    "load_aligner",
    "masked_bits",
    "shift_brain",
    "tune",
    "unigram_bits",
]
