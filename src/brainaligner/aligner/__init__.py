"""Language models tuned on brain activity: model, objective, training."""

from brainaligner.aligner._head import HEAD_SETTINGS, LearnedHead, learn_head
from brainaligner.aligner._material import AlignerMaterial, shift_brain
from brainaligner.aligner._model import BrainAligner, TextTower, load_aligner
from brainaligner.aligner._settings import AlignerSettings, LoraSettings, TuningOptions
from brainaligner.aligner._tally import MaskedBits, masked_bits, unigram_bits
from brainaligner.aligner._tune import Tuned, tune

__all__ = [
    "HEAD_SETTINGS",
    "AlignerMaterial",
    "AlignerSettings",
    "BrainAligner",
    "LearnedHead",
    "LoraSettings",
    "MaskedBits",
    "TextTower",
    "Tuned",
    "TuningOptions",
    "learn_head",
    "load_aligner",
    "masked_bits",
    "shift_brain",
    "tune",
    "unigram_bits",
]
