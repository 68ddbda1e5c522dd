"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

# A busy machine draws examples slowly; that is no fault of what is tested.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep parallel test workers from fighting over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real recordings; skips, with the reason, where there is none."""
    folder = Path(os.environ.get("BRAINALIGNER_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "lebel2023-pcs" / "words.csv.gz").exists():
        pytest.skip(f"no real recordings under {folder}; set BRAINALIGNER_DATA")
    return folder


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch annotation checks off, as for a user, so that our own refusal does the work."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
