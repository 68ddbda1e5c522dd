"""Sizes of a BrainLM model, and which parcels and samples each of its tokens sees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Int64

from brainaligner.core import InputError

N_PARCELS = 424
"""Parcels of the A424 atlas: the height of the image that the model reads."""
N_SAMPLES = 200
"""Samples of a window: the width of the image."""

_SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "decoder_hidden_size", "decoder_num_hidden_layers", "decoder_num_attention_heads",
    "decoder_intermediate_size", "patch_size", "num_channels",
)  # fmt: skip


@dataclass(frozen=True)
class BrainLMConfig:
    """Geometry of a BrainLM model of the ViT-MAE kind.

    A window of 424 parcels (rows, sorted by their Y coordinate) and 200 samples (columns) is
    padded by equal margins with -1 to `image_size` and cut into square patches. Token
    ``n = row * columns + column`` is one patch; a class token stands before them. With patches
    of P, row r sees the sorted parcels ``[P r - top, P (r + 1) - top)`` and column c the
    samples ``[P c - left, P (c + 1) - left)``. (After ``modeling_vit_mae_with_padding.py`` of
    vandijklab/BrainLM; field names are those of its config.json.)

    Parameters
    ----------
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int
        Of the encoder. Weights do not tell the number of heads; config.json does.
    decoder_hidden_size, decoder_num_hidden_layers : int
    decoder_num_attention_heads, decoder_intermediate_size : int
        Of the decoder, which only the masked reconstruction needs.
    image_size : (int, int)
        Height (parcels) and width (samples) after padding.
    patch_size : int
    num_channels : int
        The window enters as this many equal channels.
    layer_norm_eps : float
    qkv_bias : bool
    norm_pix_loss : bool
        Whether the decoder was trained on standardised patches.

    Raises
    ------
    InputError
        If a size is below 1, heads do not divide a width, or the image cannot hold a window.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    decoder_hidden_size: int
    decoder_num_hidden_layers: int
    decoder_num_attention_heads: int
    decoder_intermediate_size: int
    image_size: tuple[int, int]
    patch_size: int
    num_channels: int = 3
    layer_norm_eps: float = 1e-12
    qkv_bias: bool = True
    norm_pix_loss: bool = False

    def __post_init__(self) -> None:
        for name in _SIZES:
            if not _is_size(getattr(self, name)):
                raise _bad(name, str(getattr(self, name)), "a whole number of 1 or more")
        for name in ("qkv_bias", "norm_pix_loss"):
            if not isinstance(getattr(self, name), bool):
                raise _bad(name, repr(getattr(self, name)), "true or false")
        eps = self.layer_norm_eps
        if not (isinstance(eps, int | float) and 0 <= eps < math.inf):
            raise _bad("layer_norm_eps", str(self.layer_norm_eps), "a number of 0 or more")
        for part in ("", "decoder_"):
            width, heads = (
                getattr(self, f"{part}{name}") for name in ("hidden_size", "num_attention_heads")
            )
            if width % heads:
                raise _bad(f"{part}num_attention_heads", str(heads), f"a divisor of {width}")
        self._check_image()

    def _check_image(self) -> None:
        for size, held in zip(self.image_size, (N_PARCELS, N_SAMPLES), strict=True):
            if not _is_size(size) or size < held or size % self.patch_size or (size - held) % 2:
                raise _bad(
                    "image_size",
                    f"{list(self.image_size)} with patches of {self.patch_size}",
                    f"[height, width] of at least [{N_PARCELS}, {N_SAMPLES}] with even margins, "
                    "both multiples of patch_size",
                )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = self.image_size
        return height // self.patch_size, width // self.patch_size

    @property
    def n_tokens(self) -> int:
        """Patches of an image; the class token is not counted."""
        rows, columns = self.grid
        return rows * columns

    @property
    def margins(self) -> tuple[int, int]:
        """Padding above (and below), and to the left (and right)."""
        height, width = self.image_size
        return (height - N_PARCELS) // 2, (width - N_SAMPLES) // 2

    @property
    def data_rows(self) -> range:
        """Rows of patches with a parcel in them."""
        return _touched(self.margins[0], N_PARCELS, self.patch_size)

    @property
    def data_columns(self) -> range:
        """Columns of patches with a sample in them."""
        return _touched(self.margins[1], N_SAMPLES, self.patch_size)

    @property
    def data_tokens(self) -> Int64[np.ndarray, "_"]:
        """Numbers of the tokens that see anything but padding, increasing."""
        rows, columns = np.asarray(self.data_rows), np.asarray(self.data_columns)
        return (rows[:, None] * self.grid[1] + columns).ravel().astype(np.int64)

    def row_parcels(self, row: int) -> range:
        """Places, in the order of Y, of the parcels that a row of patches sees."""
        return _inside(row, self.margins[0], N_PARCELS, self.patch_size)

    def column_samples(self, column: int) -> range:
        """Samples of the window that a column of patches sees."""
        return _inside(column, self.margins[1], N_SAMPLES, self.patch_size)


def config_from_json(where: str, given: Mapping[str, Any]) -> BrainLMConfig:
    """Read a geometry from the fields of a config.json; other fields do not matter here.

    Raises
    ------
    InputError
        If it is of the Nystromformer kind (old_13M), another activation is asked for, a field
        is missing, or the geometry is impossible.
    """
    of_that_kind = given.get("model_type") == "brainlm_mae" or "num_brain_voxels" in given
    if of_that_kind and "image_size" not in given:
        raise nystromformer(where)
    if given.get("hidden_act", "gelu") != "gelu":
        raise _bad(f"{where}: hidden_act", repr(given["hidden_act"]), "'gelu'")
    missing = [name for name in (*_SIZES[:-1], "image_size") if name not in given]
    if missing:
        raise _bad(where, f"no {', '.join(missing)}", "the config.json of a ViT-MAE BrainLM model")
    own = {field.name: given[field.name] for field in fields(BrainLMConfig) if field.name in given}
    return BrainLMConfig(**{**own, "image_size": _pair(where, given["image_size"])})


def config_to_json(config: BrainLMConfig) -> dict[str, Any]:
    """Return the fields of a config.json that `config_from_json` reads back."""
    return {**asdict(config), "image_size": list(config.image_size), "hidden_act": "gelu"}


def nystromformer(where: str) -> InputError:
    """Build the refusal of the old_13M kind."""
    return InputError(
        where,
        got="a BrainLM model of the Nystromformer kind (old_13M, or the GitHub checkpoint)",
        wanted="one of the ViT-MAE kind: vitmae_111M or vitmae_650M",
        do="That kind mixes 65 neighbours of the token sequence, which training shuffled, so no "
        "order of its tokens is the right one. Use vitmae_650M for 1280 numbers per TR.",
    )


def _pair(where: str, value: Any) -> tuple[int, int]:
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        raise _bad(f"{where}: image_size", repr(value), "[height, width]")
    return sides[0], sides[1]


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _touched(margin: int, held: int, patch: int) -> range:
    return range(margin // patch, (margin + held - 1) // patch + 1)


def _inside(index: int, margin: int, held: int, patch: int) -> range:
    start = patch * index - margin
    return range(min(max(start, 0), held), max(min(start + patch, held), 0))


def _bad(where: str, got: str, wanted: str) -> InputError:
    return InputError(
        f"BrainLM geometry, {where}",
        got=got,
        wanted=wanted,
        do="Use the config.json that came with the weights.",
    )


BRAINLM_GEOMETRIES: dict[str, BrainLMConfig] = {
    "vitmae_111M": BrainLMConfig(768, 12, 12, 3072, 512, 8, 16, 2048, (432, 432), 16),
    "vitmae_650M": BrainLMConfig(1280, 32, 16, 5120, 512, 8, 16, 2048, (434, 434), 14),
}
"""The released ViT-MAE models. A checkpoint's own config.json decides, not this table."""
