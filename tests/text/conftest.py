"""Fixtures of the text tests: tiny models by family, a story and its clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_checkpoints import WORDS, save_checkpoint, speak

from brainaligner.core import Clock, Transcript
from brainaligner.text import LanguageModel, load_language_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny checkpoint, by family; made once. Tests must not change it."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = save_checkpoint(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture(scope="session")
def tiny(checkpoint: Callable[[str], Path]) -> Callable[[str], LanguageModel]:
    """A tiny language model by family, loaded once."""
    loaded: dict[str, LanguageModel] = {}

    def model(family: str) -> LanguageModel:
        if family not in loaded:
            loaded[family] = load_language_model(str(checkpoint(family)))
        return loaded[family]

    return model


@pytest.fixture
def story() -> Transcript:
    """About forty words from before the first window to the last row."""
    return speak(WORDS)


@pytest.fixture
def clock() -> Clock:
    """ds003020's clock."""
    return Clock(tr=2.0, first=11.0)
