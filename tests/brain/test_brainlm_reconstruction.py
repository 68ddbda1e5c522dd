"""Masked reconstruction: a model that knows a planted pattern sees scale, step and order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brainlm_parts import SMALL, TINY, coordinates, material, save_random, series

from brainaligner.brain import (
    BrainLM,
    BrainLMConfig,
    BrainLMInfo,
    BrainMaterial,
    ReconstructionCheck,
    ReconstructionSettings,
    load_brainlm,
    random_brainlm,
    reconstruction_r2,
)
from brainaligner.brain._brainlm_check import hidden_samples
from brainaligner.brain._brainlm_model import BrainLMNetwork
from brainaligner.core import InputError

PLACES = coordinates()
P = 40
KNOWING = BrainLMConfig(8, 1, 1, 4, 8, 1, 1, 4, (440, 200), P, num_channels=1)
SIGNS = np.sign(np.random.default_rng(4).normal(size=P))
ORDER = np.argsort(PLACES[:, 1], kind="stable")


def planted(n_rows: int, seed: int, tr: float) -> np.ndarray:
    """A wave of 40 s whose sign follows the place of a parcel in the order of Y; some noise."""
    rng = np.random.default_rng(seed)
    sign = np.empty(424)
    sign[ORDER] = SIGNS[(np.arange(424) + 8) % P]
    wave = np.cos(2 * np.pi * tr * np.arange(n_rows) / P + rng.uniform(0, 6))
    return (wave[:, None] * sign + 0.2 * rng.normal(size=(n_rows, 424))).astype(np.float32)


def knowing_state() -> dict[str, torch.Tensor]:
    """Weights written by hand: a token is the wave's cosine and sine part, all tokens average.

    The encoder's block adds nothing. Beside the content, a constant of its size keeps the
    layer norms' denominators steady at the right scale and lets content saturate above it.
    """
    state = {name: torch.zeros_like(v) for name, v in random_brainlm(KNOWING, seed=0)[1].items()}
    state |= {name: v + 1 for name, v in state.items() if "norm" in name and "weight" in name}
    turn = 2 * np.pi * np.arange(P) / P
    waves = torch.tensor(np.stack([np.outer(SIGNS, np.cos(turn)), np.outer(SIGNS, np.sin(turn))]))
    content = torch.cat([waves, -waves]).float() * 2 / P**2
    state["vit.embeddings.patch_embeddings.projection.weight"][:4, 0] = content
    constant = torch.tensor([0, 0, 0, 0, 1.0, -1.0, 1.0, -1.0])
    state["vit.embeddings.patch_embeddings.projection.bias"] += 0.06 * constant
    state["vit.embeddings.cls_token"] += 0.06 * constant
    state["decoder.mask_token"] += constant
    state["decoder.decoder_embed.weight"] += torch.eye(8)
    block = "decoder.decoder_layers.0.attention"
    state[f"{block}.attention.value.weight"] += torch.eye(8)
    state[f"{block}.output.dense.weight"][:4, :4] += torch.eye(4)
    state["decoder.decoder_pred.weight"][:, :2] = waves.float().flatten(1).T
    return state


@pytest.fixture(scope="module")
def knowing() -> BrainLM:
    """The model above; the size of its answer is set on data that no test scores."""
    network = BrainLMNetwork(KNOWING, decoder=True).requires_grad_(False).eval()
    network.load_state_dict(knowing_state(), strict=True)
    signs = SIGNS[(np.arange(424) + 8) % P]
    signal = torch.tensor(0.125 * np.outer(signs, np.cos(2 * np.pi * np.arange(200) / P)))
    with torch.no_grad():
        answer = network.reconstruct(signal[None].float(), torch.arange(10, 23)[None])[0, -40:]
        size = (answer * signal[-40:]).sum() / (answer * answer).sum()
        assert network.decoder is not None
        network.decoder.decoder_pred.weight *= size
    return BrainLM(BrainLMInfo(Path(), KNOWING, Path()), network, torch.device("cpu"))


def waves(tr: float = 1.0) -> BrainMaterial:
    values = {story: planted(400, i, tr) for i, story in enumerate(("one", "two", "held"))}
    return material(values, fitted_on=["one", "two"])


def check(
    model: BrainLM, given: BrainMaterial, places: np.ndarray, tr: float = 1.0, **changes: Any
) -> ReconstructionCheck:
    settings = ReconstructionSettings(**({"target_trs": (None,)} | changes))
    return reconstruction_r2(given, checkpoint=model, coordinates=places, tr=tr, settings=settings)


def test_the_right_order_is_reconstructed_and_wrong_ones_are_not(knowing: BrainLM) -> None:
    right = check(knowing, waves(), PLACES, gains=(1.0,)).best[2]
    flipped = check(knowing, waves(), PLACES * [1, -1, 1], gains=(1.0,)).best[2]
    shuffled = np.random.default_rng(0).permutation(PLACES)
    random = check(knowing, waves(), shuffled, gains=(1.0,)).best[2]
    assert right > 0.8
    assert flipped < 0.1
    assert random < 0.1


def test_the_right_scale_and_step_are_found(knowing: BrainLM) -> None:
    """Rows 2 s apart, which the model knows at 1 s."""
    steps = (0.735, 1.0, None)
    found = check(knowing, waves(2.0), PLACES, tr=2.0, target_trs=steps, gains=(0.25, 1.0, 8.0))
    assert found.best[:2] == (1.0, 1.0)
    assert found.r2.shape == (3, 3)
    assert found.best[2] > 0.8
    assert found.r2[:, [0, 2]].max() < 0.4
    assert not found.r2.flags.writeable


def test_r2_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    """Hidden numbers one by one, from the masks that the seed gives."""
    model = load_brainlm(save_random(tmp_path, SMALL), decoder=True)
    given = material(series({"one": 90}), fitted_on=["one"], missing=[7, 300])
    got = check(model, given, PLACES, tr=2.0, gains=(2.0,), target_trs=(1.0,), windows=2, seed=5)
    from brainaligner.brain._brainlm_windows import parcel_input, sample_places, windows

    inputs, ends = parcel_input(given, PLACES), np.array([89, 89])
    signal = windows(
        inputs.story("one", 2.0), ends, sample_places(2.0, 1.0), np.zeros(424, np.float32)
    )
    order = np.random.default_rng(5).permuted(np.tile(np.arange(55), (2, 1)), axis=1)
    seen = np.sort(order[:, :13], axis=1)
    filled = model.network.reconstruct(torch.from_numpy(signal), torch.from_numpy(seen)).numpy()
    truth, guess = [], []
    for window, end in enumerate(ends):
        for place in range(424):
            for sample in range(200):
                token = (place + 8) // 40 * 5 + sample // 40
                inside = 2.0 * end - (199 - sample) * 1.0 >= 0
                if token in seen[window] or inputs.order[place] in (7, 300) or not inside:
                    continue
                truth.append(float(signal[window, place, sample]))
                guess.append(float(filled[window, place, sample]))
    wanted = 1 - np.square(np.subtract(truth, guess)).sum() / (np.var(truth) * len(truth))
    assert got.best[2] == pytest.approx(wanted, abs=1e-6)
    assert got.samples == (len(truth),)


def test_hidden_samples_are_those_of_unseen_patches() -> None:
    seen = np.array([[0, 7, 400], [1, 2, 3]])
    hidden = hidden_samples(seen, TINY)
    for window, place, sample in ((0, 0, 0), (0, 239, 150), (1, 423, 199), (0, 230, 80)):
        token = (place + 4) // 16 * 27 + (sample + 116) // 16
        assert hidden[window, place, sample] == (token not in seen[window])
    assert not hidden[0, :12, :12].any()


def test_masks_follow_the_seed(knowing: BrainLM) -> None:
    first, again, other = (
        check(knowing, waves(), PLACES, gains=(1.0,), seed=seed).r2.tobytes() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_only_training_stories_are_looked_at(knowing: BrainLM) -> None:
    given = waves()
    check(knowing, given, PLACES, gains=(1.0,), stories=("two",))
    assert "held" not in given.parcels.read  # type: ignore[union-attr]
    with pytest.raises(InputError, match="held among the stories"):
        check(knowing, given, PLACES, stories=("two", "held"))


def test_windows_without_a_hidden_sample_are_refused(knowing: BrainLM) -> None:
    """One row fills one sample of the window; its patches are seen almost always."""
    given = material(series({"one": 90, "two": 1}), fitted_on=["one", "two"])
    with pytest.raises(InputError, match="no hidden samples"):
        check(knowing, given, PLACES, stories=("two",), mask_ratio=0.01, windows=1)


def test_a_checkpoint_without_its_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="decoder=True"):
        check(load_brainlm(save_random(tmp_path, SMALL)), waves(), PLACES)


def test_standardised_patches_are_refused(tmp_path: Path) -> None:
    folder = save_random(tmp_path, replace(SMALL, norm_pix_loss=True))
    with pytest.raises(InputError, match="norm_pix_loss"):
        check(load_brainlm(folder, decoder=True), waves(), PLACES)


@pytest.mark.parametrize(
    "changes",
    [
        {"gains": ()},
        {"gains": (1.0, -1.0)},
        {"target_trs": ()},
        {"target_trs": (0.0,)},
        {"target_trs": (float("nan"),)},
        {"mask_ratio": 0.0},
        {"mask_ratio": 1.0},
        {"windows": 0},
        {"seed": -1},
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="masked reconstruction"):
        ReconstructionSettings(**changes)
