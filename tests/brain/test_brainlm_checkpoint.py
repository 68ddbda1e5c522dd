"""A checkpoint loads whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brainlm_parts import SMALL, save_random
from safetensors.torch import load_file, save_file

from brainaligner.brain import brainlm_info, load_brainlm, random_brainlm
from brainaligner.core import InputError

State = dict[str, torch.Tensor]
QUERY = "vit.encoder.layer.1.attention.attention.query.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_random(tmp_path / "checkpoint", SMALL)


def rewrite(folder: Path, change: Callable[[State], object]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_weights_arrive_as_they_were_saved(folder: Path) -> None:
    saved, loaded = load_file(folder / "model.safetensors"), load_brainlm(folder, decoder=True)
    assert loaded.config == SMALL
    assert not loaded.network.training
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, saved[name])
        assert not value.requires_grad


def test_a_bin_file_gives_the_same_and_safetensors_goes_first(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    torch.save({name: value + 1 for name, value in state.items()}, folder / "pytorch_model.bin")
    assert brainlm_info(folder).weights.name == "model.safetensors"
    (folder / "model.safetensors").unlink()
    half = load_brainlm(folder).network.state_dict()[QUERY]
    assert torch.equal(half, state[QUERY] + 1)


def test_half_precision_weights_become_float32(folder: Path) -> None:
    rewrite(folder, lambda state: state.update({n: v.half() for n, v in state.items()}))
    loaded = load_brainlm(folder)
    assert {value.dtype for value in loaded.network.state_dict().values()} == {torch.float32}


def test_the_decoder_is_dropped_where_it_is_not_wanted(folder: Path) -> None:
    names = load_brainlm(folder).network.state_dict()
    assert all(name.startswith("vit.") for name in names)
    rewrite(folder, lambda state: [state.pop(n) for n in list(state) if n.startswith("decoder.")])
    load_brainlm(folder)
    with pytest.raises(InputError, match="no decoder"):
        load_brainlm(folder, decoder=True)


def test_the_digest_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    digest = brainlm_info(folder).digest
    assert brainlm_info(save_random(tmp_path / "again", SMALL)).digest == digest
    assert brainlm_info(save_random(tmp_path / "other", SMALL, seed=1)).digest != digest
    other = replace(SMALL, num_attention_heads=4)
    assert brainlm_info(save_random(tmp_path / "heads", other)).digest != digest


def test_random_weights_say_so_and_follow_their_seed(folder: Path) -> None:
    assert "random weights, seed 0" in brainlm_info(folder).note
    first, second = random_brainlm(SMALL, seed=3)[1], random_brainlm(SMALL, seed=3)[1]
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first[QUERY], random_brainlm(SMALL, seed=4)[1][QUERY])


def test_random_weights_need_widths_that_hold_positions() -> None:
    with pytest.raises(InputError, match="multiple of 4"):
        random_brainlm(replace(SMALL, hidden_size=18), seed=0)


def set_nan(state: State) -> None:
    state[QUERY][0, 0] = float("nan")


def set_infinite(state: State) -> None:
    state["vit.layernorm.bias"][3] = float("inf")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop(QUERY), "no vit.encoder.layer.1.attention"),
        (lambda state: state.update({"vit.pooler.weight": torch.ones(2)}), "unknown vit.pooler"),
        (lambda state: state.update({"classifier.bias": torch.ones(2)}), "unknown classifier"),
        (lambda state: state.update({QUERY: torch.ones(16, 15)}), r"shape \(16, 15\)"),
        (lambda state: state.update({QUERY: torch.ones(16, 16).long()}), "not finite"),
        (set_nan, "not finite"),
        (set_infinite, "not finite"),
        (
            lambda state: state.update(
                {"vit.embeddings.signal_embedding_projection.bias": torch.ones(2)}
            ),
            "Nystromformer",
        ),
    ],
)
def test_other_weights_are_refused(
    folder: Path, change: Callable[[State], object], said: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(InputError, match=said):
        load_brainlm(folder)


def test_an_unknown_decoder_weight_is_refused_where_the_decoder_is_wanted(folder: Path) -> None:
    rewrite(folder, lambda state: state.update({"decoder.extra": torch.ones(2)}))
    load_brainlm(folder)
    with pytest.raises(InputError, match=r"unknown decoder\.extra"):
        load_brainlm(folder, decoder=True)


def test_a_config_of_another_model_is_refused(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"image_size": [440, 280]}))
    with pytest.raises(InputError, match="position_embeddings"):
        load_brainlm(folder)
    (folder / "config.json").write_text(json.dumps(fields | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match=r"no vit\.encoder\.layer\.2"):
        load_brainlm(folder)


@pytest.mark.parametrize("kept", [0, 7, 200, 20_000])
def test_a_truncated_safetensors_file_is_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_brainlm(folder)


@pytest.mark.parametrize("kept", [0, 7, 200, 20_000])
def test_a_truncated_bin_file_is_refused(folder: Path, kept: int) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"pytorch_model\.bin"):
        load_brainlm(folder)


class Payload:
    """What a pickle could do to its reader."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return print, ("executed",)


@pytest.mark.parametrize("content", [Payload(), [1, 2], {"weight": Payload()}, {"a": 1}])
def test_a_bin_file_executes_nothing(
    folder: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin"):
        load_brainlm(folder)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00\xff"])
def test_a_damaged_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"config\.json"):
        load_brainlm(folder)


def test_missing_files_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        load_brainlm(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        brainlm_info(folder)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta:"])
def test_an_absent_device_is_refused_before_weights_are_read(tmp_path: Path, device: str) -> None:
    with pytest.raises(InputError, match="device"):
        load_brainlm(tmp_path / "nowhere", device=device)


def test_loading_leaves_no_gradients_and_no_random_state(folder: Path) -> None:
    before = torch.random.get_rng_state()
    load_brainlm(folder, decoder=True)
    random_brainlm(SMALL, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.isfinite(load_brainlm(folder).network.state_dict()[QUERY].numpy()).all()
