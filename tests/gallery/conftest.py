"""Worlds of the gallery: simulated and real listeners, each with one finished honest study."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from gallery_bench import Bench, World
from gallery_recordings import (
    REAL,
    SIMULATED,
    Recordings,
    real_recordings,
    save_tiny_bert,
    simulated_recordings,
)
from gallery_registry import EACH_TIME, HONEST_EACH_TIME
from gallery_tuning import tuned


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a part of the gallery, unless BRAINALIGNER_WHOLE_GALLERY asks for all of it."""
    if os.environ.get("BRAINALIGNER_WHOLE_GALLERY"):
        return
    left_out = [item for item in items if _is_for_the_whole(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_for_the_whole(item: pytest.Item) -> bool:
    if item.path.parent != Path(__file__).parent or not isinstance(item, pytest.Function):
        return False
    name = item.callspec.params["name"] if hasattr(item, "callspec") else ""
    simulated = "simulated" in item.name
    return not (simulated and (name in EACH_TIME or name in HONEST_EACH_TIME))


@contextmanager
def _as_for_a_user() -> Iterator[None]:
    """Annotation checks off: they take longer than such small studies."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(autouse=True)
def _without_checks() -> Iterator[None]:
    with _as_for_a_user():
        yield


def _study(data: Path, split: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "gallery",
        "dataset": {"reader": "folder", "folder": str(data)},
        "split": {side: list(stories) for side, stories in split.items()},
        "features": features,
        "defaults": {"design": {"delays": [1, 2, 3, 4]}},
        "arms": {"words": {"features": ["words"]}},
        "evaluation": {"n_bootstrap": 20, "n_shifts": 20},
        "controls": [],
        "null_draws": 2,
        "other_listeners": {"shown": False},
    }


def _world(folder: Path, recordings: Recordings, split: Any, features: dict[str, Any]) -> World:
    data = recordings.save(folder / "data")
    study, run = _study(data, split, features), folder / "honest" / "out" / "gallery"
    alone = World(recordings, data, study, run)
    more = {name: {"features": [name]} for name in features if name != "words"}
    with _as_for_a_user():
        Bench(alone, folder / "honest").run({"arms": more})
    return dataclasses.replace(alone, shared=(run.parent / "store" / "features",))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random language model. Tests must not change it."""
    return save_tiny_bert(tmp_path_factory.mktemp("gallery-model") / "tiny")


@pytest.fixture(scope="session")
def simulated(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two listeners with a planted truth, and their finished honest study."""
    folder = tmp_path_factory.mktemp("gallery-simulated")
    text = {"words": {"layer": 1}, "context": {"layer": 1, "context_rows": 8, "pooling": "all"}}
    features = {name: {"model": str(tiny_bert), "text": own} for name, own in text.items()}
    world = _world(folder, simulated_recordings(tiny_bert), SIMULATED, features)
    text_alone = Bench(world, folder / "tuned")
    with _as_for_a_user():
        head = text_alone.run(tuned(text_alone, None)).parent / "store" / "head"
    gc.collect()
    gc.freeze()  # tuning collects garbage twice, and all libraries are loaded now
    yield dataclasses.replace(world, shared=(*world.shared, head))
    gc.unfreeze()


@pytest.fixture(scope="session")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two real listeners, thirty components of twelve short stories; a model that knows words."""
    folder = tmp_path_factory.mktemp("gallery-real")
    recordings = real_recordings(real_data, subjects=("UTS02", "UTS03"), n_targets=30)
    known = {word.lower() for words in recordings.words.values() for word, _, _ in words}
    model = save_tiny_bert(folder / "model", sorted(word for word in known if word.isalpha()))
    features = {"words": {"model": str(model), "text": {"layer": 0, "clock": "previous"}}}
    return dataclasses.replace(_world(folder, recordings, REAL, features), source=real_data)
