"""Networks that nobody trained: an architecture with weights from its own initialiser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def draw_module(folder: Path, dtype: torch.dtype, seed: int) -> Any:
    """Draw a model from its own initialiser, the same for a seed wherever it is drawn."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return AutoModel.from_config(config, trust_remote_code=False).to(dtype)
