"""Our network against transformers' ViTMAE, on the same random weights."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brainlm_parts import TINY, save_random
from torch.nn import functional as fn
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from brainaligner.brain import BRAINLM_GEOMETRIES, BrainLMConfig, load_brainlm
from brainaligner.brain._brainlm_checkpoint import grid_positions
from brainaligner.brain._brainlm_config import config_to_json
from brainaligner.brain._brainlm_model import BrainLMNetwork

SPEC = Path(__file__).resolve().parents[3] / "shared" / "specs" / "brainlm_state_dict_keys.json"
TO_STOCK = {
    "encoder.layer.": "layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
# Two blocks of the 111M encoder and one of its decoder, at their true widths.
WIDE = replace(BRAINLM_GEOMETRIES["vitmae_111M"], num_hidden_layers=2, decoder_num_hidden_layers=1)


def stock_name(name: str) -> str:
    for ours, theirs in TO_STOCK.items():
        name = name.replace(ours, theirs)
    return name


def stock_model(config: BrainLMConfig, state: dict[str, torch.Tensor]) -> ViTMAEForPreTraining:
    """transformers' model with our weights; strict, so every name must be mapped."""
    model = ViTMAEForPreTraining(ViTMAEConfig(**config_to_json(config), mask_ratio=0.0))
    model.load_state_dict({stock_name(name): value for name, value in state.items()}, strict=True)
    return model.eval()


def stirred(folder: Path, config: BrainLMConfig) -> dict[str, torch.Tensor]:
    """Random weights in which biases and norms are random as well, saved as a .bin file."""
    rng = torch.Generator().manual_seed(1)
    network = load_brainlm(save_random(folder, config), decoder=True).network
    state = {
        name: value + 0.05 * torch.randn(value.shape, generator=rng)
        for name, value in network.state_dict().items()
    }
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    return state


def padded(signal: torch.Tensor, config: BrainLMConfig) -> torch.Tensor:
    """The image as the BrainLM tutorial makes it: three channels, margins of -1."""
    high, wide = (config.image_size[0] - 424) // 2, (config.image_size[1] - 200) // 2
    image = signal.unsqueeze(1).repeat(1, 3, 1, 1)
    return fn.pad(image, (wide, wide, high, high), "constant", -1)


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "111M widths"])
def test_tokens_are_those_of_transformers(tmp_path: Path, config: BrainLMConfig) -> None:
    state = stirred(tmp_path, config)
    model, ours = stock_model(config, state), load_brainlm(tmp_path)
    signal = 0.13 * torch.randn(2, 424, 200, generator=torch.Generator().manual_seed(2))
    order = torch.arange(config.n_tokens).expand(2, -1).float()
    with torch.no_grad():
        stock = model.vit(padded(signal, config), noise=order, output_hidden_states=True)
        last = ours.network.vit(signal)
        between = [ours.network.vit(signal, layer=k) for k in range(config.num_hidden_layers + 1)]
    assert (last - stock.last_hidden_state).abs().max() < 1e-5
    assert len(between) == len(stock.hidden_states)
    for own, theirs in zip(between, stock.hidden_states, strict=True):
        assert (own - theirs).abs().max() < 1e-5 * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "111M widths"])
def test_reconstruction_is_that_of_transformers(tmp_path: Path, config: BrainLMConfig) -> None:
    state = stirred(tmp_path, config)
    model, ours = stock_model(config, state), load_brainlm(tmp_path, decoder=True)
    model.config.mask_ratio = 0.75
    signal = 0.13 * torch.randn(2, 424, 200, generator=torch.Generator().manual_seed(2))
    noise = torch.rand(2, config.n_tokens, generator=torch.Generator().manual_seed(3))
    seen = noise.argsort(dim=1)[:, : int(config.n_tokens * 0.25)]
    image = padded(signal, config)
    with torch.no_grad():
        patches = model(image, noise=noise).logits
        (high, wide), size = ours.config.margins, config.patch_size
        rows, columns = config.grid
        whole = patches.reshape(2, rows, columns, size, size, 3)
        whole = torch.einsum("nhwpqc->nchpwq", whole).reshape(2, 3, *config.image_size)
        theirs = whole[:, :, high : high + 424, wide : wide + 200].mean(1)
        own = ours.network.reconstruct(signal, seen)
    assert (own - theirs).abs().max() < 1e-5 * max(1.0, float(theirs.abs().max()))


def test_all_blocks_of_the_released_111m_run_at_their_true_size(tmp_path: Path) -> None:
    config = BRAINLM_GEOMETRIES["vitmae_111M"]
    state = stirred(tmp_path, config)
    signal = 0.13 * torch.randn(1, 424, 200, generator=torch.Generator().manual_seed(2))
    ours, model = load_brainlm(tmp_path), stock_model(config, state)
    with torch.no_grad():
        stock = model.vit(padded(signal, config), noise=torch.arange(729)[None].float())
        assert (ours.network.vit(signal) - stock.last_hidden_state).abs().max() < 1e-5


def test_positions_are_sines_and_cosines_of_column_then_row() -> None:
    positions = grid_positions((3, 4), 8)[0]
    assert (positions[0] == 0).all()
    for row in range(3):
        for column in range(4):
            wanted = [
                wave(place / 10_000 ** (j / 2))
                for place in (column, row)
                for wave in (math.sin, math.cos)
                for j in range(2)
            ]
            got = positions[1 + 4 * row + column]
            assert got.tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", list(BRAINLM_GEOMETRIES))
def test_names_and_shapes_are_those_of_the_release(name: str) -> None:
    if not SPEC.exists():
        pytest.skip(f"no key lists at {SPEC}")
    wanted = json.loads(SPEC.read_text(encoding="utf-8"))[name]
    with torch.device("meta"):
        state = BrainLMNetwork(BRAINLM_GEOMETRIES[name], decoder=True).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == wanted


@pytest.mark.parametrize(
    ("name", "tensors", "numbers"),
    [("vitmae_111M", 334, 112_590_080), ("vitmae_650M", 654, 658_337_868)],
)
def test_sizes_are_those_of_the_release(name: str, tensors: int, numbers: int) -> None:
    with torch.device("meta"):
        state = BrainLMNetwork(BRAINLM_GEOMETRIES[name], decoder=True).state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (tensors, numbers)
    assert state["vit.encoder.layer.1.attention.attention.key.bias"].ndim == 1
    assert np.prod(state["decoder.decoder_pred.bias"].shape) == 3 * (
        BRAINLM_GEOMETRIES[name].patch_size ** 2
    )
