"""The network of BrainLM (ViT-MAE kind), under the parameter names of its checkpoints."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as fn

from brainaligner.brain._brainlm_config import N_PARCELS, N_SAMPLES, BrainLMConfig

PAD_VALUE = -1.0


class BrainLMNetwork(nn.Module):
    """Encoder, and the decoder where it is wanted.

    Each block is pre-norm: ``x += out(attention(LN(x)))``, then ``x += W2 gelu(W1 LN(x))``,
    with ``softmax(Q K' / sqrt(head width)) V`` and the exact (erf) GELU. There is no dropout
    and no attention mask: padding patches are tokens like any other.
    (He et al. 2022, arXiv:2111.06377; padding as in vandijklab/BrainLM.)
    """

    def __init__(self, config: BrainLMConfig, *, decoder: bool) -> None:
        super().__init__()
        self.vit = Encoder(config)
        self.decoder = Decoder(config) if decoder else None

    def reconstruct(
        self, signal: Float[Tensor, "window parcel sample"], seen: Int64[Tensor, "window seen"]
    ) -> Float[Tensor, "window parcel sample"]:
        """Reconstruct whole windows from the patches with the numbers `seen`."""
        if self.decoder is None:
            raise TypeError("this network was built without its decoder")
        return self.decoder(self.vit(signal, seen=seen), seen)


class Encoder(nn.Module):
    """Patches with positions, transformer blocks, a last layer norm."""

    def __init__(self, config: BrainLMConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Blocks(
            Block(config.hidden_size, config.num_attention_heads, config.intermediate_size, config)
            for _ in range(config.num_hidden_layers)
        )
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        signal: Float[Tensor, "window parcel sample"],
        *,
        seen: Int64[Tensor, "window seen"] | None = None,
        layer: int | None = None,
    ) -> Float[Tensor, "window token width"]:
        """Return the class token and the patches, in the order of `seen` (None: all, in order).

        Parameters
        ----------
        signal : float tensor, shape (window, 424, 200)
            Scaled, parcels sorted by Y.
        seen : int64 tensor, shape (window, seen), optional
            Numbers of the patches that go in.
        layer : int, optional
            Stop after that many blocks (0: the embeddings), without the last layer norm.
        """
        tokens = self.embeddings(signal, seen)
        for block in self.encoder.layer[:layer]:
            tokens = block(tokens)
        return self.layernorm(tokens) if layer is None else tokens


class Decoder(nn.Module):
    """From the tokens that were seen to the whole window."""

    def __init__(self, config: BrainLMConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.decoder_hidden_size, config.decoder_num_attention_heads
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, config.n_tokens + 1, width))
        self.decoder_embed = nn.Linear(config.hidden_size, width)
        self.decoder_layers = nn.ModuleList(
            Block(width, heads, config.decoder_intermediate_size, config)
            for _ in range(config.decoder_num_hidden_layers)
        )
        self.decoder_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.decoder_pred = nn.Linear(width, config.patch_size**2 * config.num_channels)

    def forward(
        self,
        tokens: Float[Tensor, "window token width"],
        seen: Int64[Tensor, "window seen"],
    ) -> Float[Tensor, "window parcel sample"]:
        """Return the windows without their margins, averaged over the equal channels."""
        known = self.decoder_embed(tokens)
        patches = self.mask_token.to(known.dtype).repeat(len(known), self.config.n_tokens, 1)
        places = seen[..., None].expand(-1, -1, known.shape[-1])
        patches = patches.scatter(1, places, known[:, 1:])
        hidden = torch.cat([known[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_layers:
            hidden = block(hidden)
        return self._cropped(self.decoder_pred(self.decoder_norm(hidden))[:, 1:])

    def _cropped(
        self, patches: Float[Tensor, "window patch pixel"]
    ) -> Float[Tensor, "window parcel sample"]:
        (rows, columns), size = self.config.grid, self.config.patch_size
        pixels = patches.reshape(len(patches), rows, columns, size, size, -1).mean(-1)
        image = pixels.permute(0, 1, 3, 2, 4).reshape(len(patches), *self.config.image_size)
        top, left = self.config.margins
        return image[:, top : top + N_PARCELS, left : left + N_SAMPLES]


class Embeddings(nn.Module):
    """Patches -> tokens: a linear map per patch, positions, the class token in front."""

    def __init__(self, config: BrainLMConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.position_embeddings = nn.Parameter(
            torch.zeros(1, config.n_tokens + 1, config.hidden_size)
        )
        self.patch_embeddings = PatchProjection(config)

    def forward(
        self,
        signal: Float[Tensor, "window parcel sample"],
        seen: Int64[Tensor, "window seen"] | None,
    ) -> Float[Tensor, "window token width"]:
        patches = patches_of(signal, self.config)
        positions = self.position_embeddings[:, 1:].expand(len(patches), -1, -1)
        if seen is not None:
            patches = _taken(patches, seen)
            positions = _taken(positions, seen)
        tokens = self.patch_embeddings(patches) + positions
        first = self.cls_token + self.position_embeddings[:, :1]
        return torch.cat([first.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], dim=1)


class PatchProjection(nn.Module):
    """The convolution of the checkpoint, as the matrix product that it is.

    All channels are equal, so ``sum_c W_c x = (sum_c W_c) x``; and a product, unlike a
    convolution, is never rounded to TF32 behind the user's back.
    """

    def __init__(self, config: BrainLMConfig) -> None:
        super().__init__()
        size, channels = config.patch_size, config.num_channels
        self.projection = nn.Conv2d(channels, config.hidden_size, kernel_size=size, stride=size)

    def forward(
        self, patches: Float[Tensor, "window patch pixel"]
    ) -> Float[Tensor, "window patch width"]:
        weight = self.projection.weight.sum(dim=1).flatten(1)
        return fn.linear(patches, weight, self.projection.bias)


class Blocks(nn.Module):
    """Transformer blocks under the name that checkpoints give them."""

    def __init__(self, blocks: object) -> None:
        super().__init__()
        self.layer = nn.ModuleList(blocks)  # type: ignore[arg-type]


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width: int, heads: int, inner: int, config: BrainLMConfig) -> None:
        super().__init__()
        self.attention = Attention(width, heads, qkv_bias=config.qkv_bias)
        self.intermediate = Dense(width, inner)
        self.output = Dense(inner, width)
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(
        self, tokens: Float[Tensor, "window token width"]
    ) -> Float[Tensor, "window token width"]:
        tokens = tokens + self.attention(self.layernorm_before(tokens))
        inner = fn.gelu(self.intermediate.dense(self.layernorm_after(tokens)))
        return tokens + self.output.dense(inner)


class Attention(nn.Module):
    """Softmax attention over all tokens."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attention = Projections(width, bias=qkv_bias)
        self.output = Dense(width, width)

    def forward(
        self, tokens: Float[Tensor, "window token width"]
    ) -> Float[Tensor, "window token width"]:
        maps = (self.attention.query, self.attention.key, self.attention.value)
        query, key, value = (
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in maps
        )
        mixed = fn.scaled_dot_product_attention(query, key, value)
        return self.output.dense(mixed.transpose(1, 2).flatten(2))


class Projections(nn.Module):
    """Queries, keys and values."""

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)


class Dense(nn.Module):
    """A linear map under the name that checkpoints give it."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, out)


def patches_of(
    signal: Float[Tensor, "window parcel sample"], config: BrainLMConfig
) -> Float[Tensor, "window patch pixel"]:
    """Pad windows with -1 and cut them into patches, row by row, as (patch, pixel)."""
    (rows, columns), size = config.grid, config.patch_size
    top, left = config.margins
    image = fn.pad(signal, (left, left, top, top), value=PAD_VALUE)
    blocks = image.reshape(len(signal), rows, size, columns, size).transpose(2, 3)
    return blocks.reshape(len(signal), rows * columns, size * size)


def _taken(
    tokens: Float[Tensor, "window token width"], numbers: Int64[Tensor, "window seen"]
) -> Float[Tensor, "window seen width"]:
    return tokens.gather(1, numbers[..., None].expand(-1, -1, tokens.shape[-1]))
