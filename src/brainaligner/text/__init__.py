"""Words into language-model states, and states into regression rows: one per TR."""

from brainaligner.text._design import (
    DesignSettings,
    add_delays,
    design_bands,
    design_rows,
    nuisance_columns,
    word_rate,
)
from brainaligner.text._lanczos import lanczos_matrix, rows_from_states
from brainaligner.text._model import LanguageModel, ModelInfo, load_language_model, model_info
from brainaligner.text._settings import TextSettings, resolve_layer
from brainaligner.text._states import row_states
from brainaligner.text._windows import RowText, row_texts, story_texts, word_texts

__all__ = [
    "DesignSettings",
    "LanguageModel",
    "ModelInfo",
    "RowText",
    "TextSettings",
    "add_delays",
    "design_bands",
    "design_rows",
    "lanczos_matrix",
    "load_language_model",
    "model_info",
    "nuisance_columns",
    "resolve_layer",
    "row_states",
    "row_texts",
    "rows_from_states",
    "story_texts",
    "word_rate",
    "word_texts",
]
