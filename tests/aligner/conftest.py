"""Fixtures of the aligner's tests: tiny checkpoints and aligners by family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_aligners import WIDTH, save_masked

from brainaligner.aligner import BrainAligner, load_aligner


@pytest.fixture(scope="session")
def masked_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny checkpoint, by family; made once. Tests must not change it."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = save_masked(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture(scope="session")
def tiny(masked_checkpoint: Callable[[str], Path]) -> Callable[[str], BrainAligner]:
    """A tiny aligner by family, loaded once. Tests must not change it."""
    made: dict[str, BrainAligner] = {}

    def aligner(family: str = "bert") -> BrainAligner:
        if family not in made:
            made[family] = load_aligner(
                str(masked_checkpoint(family)), brain_width=WIDTH, any_kind=True
            )
        return made[family]

    return aligner
