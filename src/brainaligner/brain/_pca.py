"""Principal components of the targets, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64

from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._projections import float32_rows
from brainaligner.brain._reading import TargetReader, labelled_seed, scale_fact
from brainaligner.brain._settings import BrainSettings, EncoderOptions
from brainaligner.core import InputError, Progress, no_progress

N_POWER = 3
SPARE_DIRECTIONS = 64
_ROUNDING = 1e-6  # variance, in units of the largest one, under which a direction is rounding

Matrix64 = Float64[torch.Tensor, "_ _"]


def pca(
    material: BrainMaterial,
    *,
    settings: BrainSettings,
    seed: int,
    options: EncoderOptions,
    progress: Progress = no_progress,
) -> BrainVectors:
    """Scores on the first principal components of the training stories, largest first.

    Targets are standardised, then centred by their means over the training rows. The
    components are those of a randomised range finder with three power iterations (Halko,
    Martinsson & Tropp 2011, doi:10.1137/090771806), exact where twice `width` directions (at
    least `width` + 64) span all rows or all targets. Every step is a sum over blocks of
    targets, so memory holds one block and matrices of training rows x directions. Products
    are float32, sums and decompositions float64. The largest training score of each
    component is positive; a direction without variance gives zeros.

    Parameters
    ----------
    material : BrainMaterial
    settings : BrainSettings
    seed : int
    options : EncoderOptions
    progress : callable

    Raises
    ------
    InputError
        If `width` is more than the targets, or than the training rows less one.
    """
    n_rows = sum(material.recording.rows(story) for story in material.fitted_on)
    check_pca_width(material.subject, settings.width, material.recording.n_targets, n_rows)
    reader = TargetReader(material, settings.standardise, options, progress)
    blocks = _CentredBlocks(reader)
    range_ = _training_range(blocks, n_rows, settings.width, labelled_seed(seed, "pca"))
    scores, explained = _scores(blocks, range_, settings.width)
    provenance = Provenance(
        "pca",
        material.subject,
        fitted_on=material.fitted_on,
        facts={"targets": float(reader.width), "share of variance": explained}
        | scale_fact(settings.standardise),
    )
    return BrainVectors(float32_rows(scores), provenance)


@dataclass(frozen=True, eq=False)
class _CentredBlocks:
    """Standardised targets less their training means, on the device."""

    reader: TargetReader

    @property
    def training(self) -> list[str]:
        return sorted(self.reader.material.fitted_on)

    @property
    def others(self) -> list[str]:
        return sorted(set(self.reader.material.given) - set(self.training))

    def read(self, stories: list[str]) -> Iterator[Float32[torch.Tensor, "time target"]]:
        """Yield the rows of the training stories, then of `stories`, block after block."""
        for _, block in self.reader.blocks([*self.training, *stories]):
            fitted = np.concatenate([block[story] for story in self.training])
            mean = fitted.mean(axis=0, dtype=np.float64)
            rows = [fitted, *(block[story] for story in stories)]
            centred = (np.concatenate(rows) - mean).astype(np.float32)
            yield torch.from_numpy(centred).to(self.reader.options.device)


def _training_range(blocks: _CentredBlocks, n_rows: int, width: int, seed: int) -> Matrix64:
    """Orthonormal directions over training rows that hold the leading components."""
    n_targets = blocks.reader.width
    n_directions = min(width + max(width, SPARE_DIRECTIONS), n_rows, n_targets)
    rng = np.random.default_rng(seed)
    sketch: Matrix64 | None = None
    for z in blocks.read([]):
        draw = rng.standard_normal((z.shape[1], n_directions)).astype(np.float32)
        sketch = _added(sketch, z @ torch.from_numpy(draw).to(z))
    for _ in range(N_POWER):
        directions, sketch = _orthonormal(sketch).float(), None
        for z in blocks.read([]):
            sketch = _added(sketch, z @ (z.T @ directions))
    return _orthonormal(sketch)


def _scores(
    blocks: _CentredBlocks, range_: Matrix64, width: int
) -> tuple[dict[str, Float64[np.ndarray, "_ _"]], float]:
    """Scores of all stories, and the share of the training variance that they hold."""
    n_rows, directions = len(range_), range_.float()
    products: Matrix64 | None = None
    total = 0.0
    for z in blocks.read(blocks.others):
        products = _added(products, z @ (z[:n_rows].T @ directions))
        total += float(z[:n_rows].double().square().sum())
    assert products is not None
    variance, turn = torch.linalg.eigh(_symmetric(range_.T @ products[:n_rows]))
    variance, turn = variance.flip(0)[:width], turn.flip(1)[:, :width]
    held = variance > _ROUNDING * variance[0]
    scores = products @ (turn * torch.where(held, variance, torch.inf).rsqrt())
    scores = (scores * _signs(scores[:n_rows])).cpu().numpy()
    explained = float(variance[held].sum()) / total if total > 0 else 0.0
    return _by_story(blocks, scores), explained


def _signs(scores: Matrix64) -> Float64[torch.Tensor, "component"]:
    """What makes the largest training score of each component positive."""
    largest = scores.gather(0, scores.abs().argmax(0, keepdim=True))[0]
    return torch.where(largest < 0, -1.0, 1.0).to(scores)


def _by_story(
    blocks: _CentredBlocks, scores: Float64[np.ndarray, "_ _"]
) -> dict[str, Float64[np.ndarray, "_ _"]]:
    recording = blocks.reader.material.recording
    names = [*blocks.training, *blocks.others]
    stops = np.cumsum([recording.rows(story) for story in names])
    return dict(zip(names, np.split(scores, stops[:-1]), strict=True))


def _added(total: Matrix64 | None, part: Float[torch.Tensor, "_ _"]) -> Matrix64:
    return part.double() if total is None else total.add_(part)


def _orthonormal(sketch: Matrix64 | None) -> Matrix64:
    assert sketch is not None
    return torch.linalg.qr(sketch).Q


def _symmetric(matrix: Matrix64) -> Matrix64:
    return (matrix + matrix.T) / 2


def check_pca_width(subject: str, width: int, n_targets: int, n_rows: int) -> None:
    """Refuse more principal components than there can be.

    Parameters
    ----------
    subject : str
        Named in the error.
    width : int
        Components that are asked for.
    n_targets : int
    n_rows : int
        Training rows.

    Raises
    ------
    InputError
    """
    most = min(n_targets, n_rows - 1)
    if width > most:
        raise InputError(
            f"principal components of {subject}",
            got=f"width {width}",
            wanted=f"at most {most}: {n_targets} targets, {n_rows} rows",
            do=f"Ask for fewer components, such as width: {most}.",
        )
