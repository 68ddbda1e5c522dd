"""Networks that nobody trained: the same architecture, weights from its own initialiser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import save_checkpoint
from transformers import AutoModel

from brainaligner.text import load_language_model, model_info


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint("bert", tmp_path_factory.mktemp("models") / "bert")


def weights(folder: Path, seed: int | None) -> dict[str, torch.Tensor]:
    return load_language_model(str(folder), untrained=seed).module.state_dict()


def test_a_seed_draws_the_same_weights_and_another_seed_others(folder: Path) -> None:
    first, again, other = (weights(folder, seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_it_has_the_trained_models_shapes_and_none_of_its_matrices(folder: Path) -> None:
    drawn, trained = weights(folder, 0), weights(folder, None)
    assert {n: w.shape for n, w in drawn.items()} == {n: w.shape for n, w in trained.items()}
    matrices = [name for name, values in drawn.items() if values.ndim == 2]
    assert matrices
    assert not any(torch.equal(drawn[name], trained[name]) for name in matrices)


def test_weights_are_as_wide_as_the_initialiser_says(folder: Path) -> None:
    width = json.loads((folder / "config.json").read_text())["initializer_range"]
    expected = AutoModel.from_pretrained(folder).config.initializer_range
    assert width == expected
    drawn = weights(folder, 0)
    values = torch.cat([w.ravel() for n, w in drawn.items() if n.endswith("dense.weight")])
    assert values.std().item() == pytest.approx(width, rel=0.1)


def test_drawing_leaves_the_callers_random_numbers_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights(folder, 0)
    assert torch.equal(torch.rand(3), expected)


def test_its_digest_knows_the_architecture_and_no_weights(folder: Path, tmp_path: Path) -> None:
    retrained = shutil.copytree(folder, tmp_path / "retrained")
    model = AutoModel.from_pretrained(retrained)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    config = (retrained / "config.json").read_bytes()
    model.save_pretrained(retrained)
    (retrained / "config.json").write_bytes(config)
    one, other = model_info(str(folder)), model_info(str(retrained))
    assert one.architecture_digest == other.architecture_digest
    assert one.digest != other.digest
    (retrained / "config.json").write_bytes(config.replace(b"}", b" }", 1))
    assert model_info(str(retrained)).architecture_digest != one.architecture_digest
