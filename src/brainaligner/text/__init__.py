"""Words into language-model states, and states into regression rows: one per TR."""

from brainaligner.text._design import (
    DesignSettings,
    add_delays,
    design_bands,
    design_rows,
    nuisance_columns,
    word_length,
    word_rate,
)
from brainaligner.text._headed import HeadedModel, load_headed_model, load_masked_model
from brainaligner.text._lanczos import lanczos_matrix, rows_from_states
from brainaligner.text._model import (
    LanguageModel,
    ModelInfo,
    load_language_model,
    model_info,
    quiet_transformers,
)
from brainaligner.text._settings import Dtype, TextSettings, resolve_layer
from brainaligner.text._states import StoryStates, row_states
from brainaligner.text._tokens import TokenRow, token_rows
from brainaligner.text._windows import RowText, row_texts, story_texts, word_texts

__all__ = [
    "DesignSettings",
    "Dtype",
    "HeadedModel",
    "LanguageModel",
    "ModelInfo",
    "RowText",
    "StoryStates",
    "TextSettings",
    "TokenRow",
    "add_delays",
    "design_bands",
    "design_rows",
    "lanczos_matrix",
    "load_headed_model",
    "load_language_model",
    "load_masked_model",
    "model_info",
    "nuisance_columns",
    "quiet_transformers",
    "resolve_layer",
    "row_states",
    "row_texts",
    "rows_from_states",
    "story_texts",
    "token_rows",
    "word_length",
    "word_rate",
    "word_texts",
]
