"""Language models tuned on brain activity: model, objective, training."""

from brainaligner.aligner._align import align, check_objectives
from brainaligner.aligner._head import HEAD_SETTINGS, LearnedHead, learn_head
from brainaligner.aligner._language import token_bits, token_floor
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
from brainaligner.aligner._settings import (
    AlignerSettings,
    LoraSettings,
    Precision,
    TuningOptions,
)
from brainaligner.aligner._similarity import (
    LEAST_COMPARED,
    LayerSimilarity,
    dissimilarity_agreement,
    layer_similarity,
    linear_cka,
)
from brainaligner.aligner._story_material import StoryMaterial
from brainaligner.aligner._tally import TokenBits, masked_bits, unigram_bits
from brainaligner.aligner._tune import Tuned, check_tuning, tune
from brainaligner.aligner._upper_states import upper_states

__all__ = [
    "HEAD_SETTINGS",
    "LEAST_COMPARED",
    "LEAST_SHIFT",
    "OBJECTIVES",
    "Aligned",
    "AlignerMaterial",
    "AlignerSettings",
    "AnchorSettings",
    "BrainAligner",
    "ContrastiveSettings",
    "LanguageSettings",
    "LayerSimilarity",
    "LearnedHead",
    "LoraSettings",
    "MaskedBrainSettings",
    "ObjectiveSettings",
    "Precision",
    "PredictSettings",
    "ResponseHeadSettings",
    "StoryMaterial",
    "TextTower",
    "TokenBits",
    "Tuned",
    "TuningOptions",
    "align",
    "check_objectives",
    "check_tuning",
    "dissimilarity_agreement",
    "layer_similarity",
    "learn_head",
    "linear_cka",
    "load_aligner",
    "masked_bits",
    "shift_brain",
    "token_bits",
    "token_floor",
    "tune",
    "unigram_bits",
    "upper_states",
]
