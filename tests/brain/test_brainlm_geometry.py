"""Which token sees which parcels and samples; sizes that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from brainlm_parts import SMALL, TINY

from brainaligner.brain import BRAINLM_GEOMETRIES, BrainLMConfig
from brainaligner.brain._brainlm_config import config_from_json, config_to_json
from brainaligner.brain._brainlm_model import patches_of
from brainaligner.core import InputError

BASE, HUGE = BRAINLM_GEOMETRIES["vitmae_111M"], BRAINLM_GEOMETRIES["vitmae_650M"]


def test_data_columns_and_rows_are_those_that_were_derived_by_hand() -> None:
    assert (HUGE.grid, BASE.grid) == ((31, 31), (27, 27))
    assert (HUGE.margins, BASE.margins) == ((5, 117), (4, 116))
    assert (HUGE.data_columns, BASE.data_columns) == (range(8, 23), range(7, 20))
    assert (HUGE.data_rows, BASE.data_rows) == (range(31), range(27))
    assert (len(HUGE.data_tokens), len(BASE.data_tokens)) == (465, 351)


def test_columns_and_rows_see_what_was_derived_by_hand() -> None:
    assert HUGE.column_samples(8) == range(9)
    assert HUGE.column_samples(9) == range(9, 23)
    assert HUGE.column_samples(21) == range(177, 191)
    assert HUGE.column_samples(22) == range(191, 200)
    assert BASE.column_samples(7) == range(12)
    assert BASE.column_samples(8) == range(12, 28)
    assert BASE.column_samples(19) == range(188, 200)
    assert HUGE.row_parcels(0) == range(9)
    assert HUGE.row_parcels(1) == range(9, 23)
    assert HUGE.row_parcels(30) == range(415, 424)
    assert BASE.row_parcels(3) == range(44, 60)
    assert len(HUGE.column_samples(7)) == len(HUGE.column_samples(23)) == 0


@pytest.mark.parametrize("config", [BASE, HUGE, TINY, SMALL])
def test_a_patch_holds_what_its_row_and_column_say(config: BrainLMConfig) -> None:
    """Each number of a window is its own name: parcel and sample."""
    names = np.arange(424 * 200, dtype=np.float32).reshape(1, 424, 200)
    patches = patches_of(torch.from_numpy(names), config)[0].numpy()
    for token in (0, 40, config.n_tokens // 2, config.n_tokens - 1):
        row, column = divmod(token, config.grid[1])
        wanted = {
            200.0 * parcel + sample
            for parcel in config.row_parcels(row)
            for sample in config.column_samples(column)
        }
        assert set(patches[token].tolist()) - {-1.0} == wanted
        assert (token in config.data_tokens) == bool(wanted)
    assert np.count_nonzero(patches != -1) == names.size


def test_a_geometry_survives_json() -> None:
    config = replace(TINY, norm_pix_loss=True, qkv_bias=False, layer_norm_eps=1e-6)
    assert config_from_json("here", config_to_json(config)) == config
    square = config_to_json(HUGE) | {"image_size": 434, "transformers_version": "4.28.0"}
    assert config_from_json("here", square) == HUGE


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", (224, 224)),
        ("image_size", (400, 432)),
        ("image_size", (432, 192)),
        ("image_size", (425, 432)),
        ("image_size", ("432", "432")),
        ("patch_size", 14),
        ("patch_size", 0),
        ("hidden_size", -16),
        ("hidden_size", 16.0),
        ("num_hidden_layers", 0),
        ("num_attention_heads", 3),
        ("decoder_num_attention_heads", 5),
        ("num_channels", True),
        ("layer_norm_eps", float("nan")),
        ("layer_norm_eps", "1e-12"),
        ("qkv_bias", "true"),
        ("norm_pix_loss", None),
    ],
)
def test_impossible_geometries_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match="BrainLM geometry"):
        replace(TINY, **{name: value})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"image_size": [432, 432, 3]}, "image_size"),
        ({"image_size": "432"}, "image_size"),
    ],
)
def test_other_models_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        config_from_json("config.json", config_to_json(TINY) | change)


@pytest.mark.parametrize("told", [{"model_type": "brainlm_mae"}, {"num_brain_voxels": 424}])
def test_the_kind_without_an_image_is_refused_by_its_name(told: dict[str, Any]) -> None:
    fields = config_to_json(TINY) | told
    assert config_from_json("config.json", fields) == TINY  # an image tells a ViT-MAE
    del fields["image_size"]
    with pytest.raises(InputError, match="Nystromformer"):
        config_from_json("config.json", fields)


def test_heads_must_be_stated_since_weights_do_not_tell_them() -> None:
    fields = config_to_json(TINY)
    del fields["num_attention_heads"]
    with pytest.raises(InputError, match="num_attention_heads"):
        config_from_json("config.json", fields)
