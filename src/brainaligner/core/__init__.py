"""Nouns with named, checked dimensions; errors; the clock. Imports nothing of ours."""

from brainaligner.core._arrays import (
    MANY_OFF_CENTRE,
    all_finite,
    array_digest,
    frozen_array,
    off_centre_share,
    zscore,
)
from brainaligner.core._clock import Clock
from brainaligner.core._errors import BrainAlignerError, InputError, nearest_name, unknown_name
from brainaligner.core._folds import story_folds
from brainaligner.core._html import html_table
from brainaligner.core._progress import Progress, no_progress
from brainaligner.core._responses import Features, Responses
from brainaligner.core._scores import Scores, StoryGroup
from brainaligner.core._space import FSAVERAGE5_VERTICES, SPACE_KINDS, Space
from brainaligner.core._split import (
    Fold,
    Piece,
    Split,
    ValidationSplit,
    WithinStorySplit,
    draw_split,
)
from brainaligner.core._transcript import Transcript
from brainaligner.core._typed import settle_types
from brainaligner.core._witness import (
    Witness,
    no_witness,
    settings_hashes,
    show_settings,
    text_hashes,
)

__all__ = [
    "FSAVERAGE5_VERTICES",
    "MANY_OFF_CENTRE",
    "SPACE_KINDS",
    "BrainAlignerError",
    "Clock",
    "Features",
    "Fold",
    "InputError",
    "Piece",
    "Progress",
    "Responses",
    "Scores",
    "Space",
    "Split",
    "StoryGroup",
    "Transcript",
    "ValidationSplit",
    "WithinStorySplit",
    "Witness",
    "all_finite",
    "array_digest",
    "draw_split",
    "frozen_array",
    "html_table",
    "nearest_name",
    "no_progress",
    "no_witness",
    "off_centre_share",
    "settings_hashes",
    "settle_types",
    "show_settings",
    "story_folds",
    "text_hashes",
    "unknown_name",
    "zscore",
]
