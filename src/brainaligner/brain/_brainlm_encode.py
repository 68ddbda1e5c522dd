"""Parcel series -> one BrainLM vector per TR."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64

from brainaligner.brain._brainlm_checkpoint import BrainLM
from brainaligner.brain._brainlm_config import N_PARCELS, BrainLMConfig
from brainaligner.brain._brainlm_settings import BetweenWindows, BrainLMSettings
from brainaligner.brain._brainlm_windows import (
    ParcelInput,
    SamplePlaces,
    parcel_input,
    sample_places,
    window_rule,
    windows,
)
from brainaligner.brain._material import BrainMaterial, BrainVectors, Provenance
from brainaligner.brain._moved import shift_in_time
from brainaligner.brain._witnessed import witnessed_material
from brainaligner.core import (
    InputError,
    Progress,
    Witness,
    no_progress,
    no_witness,
    show_settings,
)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def encode_brainlm(
    material: BrainMaterial,
    *,
    checkpoint: BrainLM,
    coordinates: Float[np.ndarray, "parcel 3"],
    tr: float,
    settings: BrainLMSettings | None = None,
    batch_windows: int = 8,
    seed: int = 0,
    progress: Progress = no_progress,
    witness: Witness = no_witness,
) -> BrainVectors:
    """Give each row the state of a frozen BrainLM model after the window that ends there.

    Per parcel ``x' = gain (x - median) / (IQR + 1e-6) / 5.6430855`` with the median and the
    interquartile range of the training stories; parcels sorted by Y; 200 samples up to the
    row's centre; no masking, tokens in their own order; then `BrainLMSettings.pooling`.
    The haemodynamic delay is left to the reader of the vectors.

    Parameters
    ----------
    material : BrainMaterial
        With parcels.
    checkpoint : BrainLM
        It also says on which device the work is done.
    coordinates : array, shape (424, 3)
        X, Y, Z of the parcels in MNI mm, in the order of the labels of A424.
    tr : float
        Seconds between rows.
    settings : BrainLMSettings, optional
    batch_windows : int
        Windows that pass through the model at once.
    progress : callable
        Called with the windows done.
    seed : int
        Of the shift, where the settings ask for one.
    witness : Witness
        Shown the parcels' means as they are read, in the role ``"brain"``.

    Returns
    -------
    BrainVectors
        Of all given stories; `BrainLMSettings.width` numbers per row.

    Raises
    ------
    InputError
        If there are no parcels, or anything does not fit; before the model runs.
    """
    chosen, material = settings or BrainLMSettings(), witnessed_material(material, witness)
    show_settings(chosen, witness)
    chosen.block(checkpoint.config)
    check_running(checkpoint, chosen.dtype, batch_windows)
    places = sample_places(tr, chosen.target_tr)
    given = parcel_input(material, coordinates)
    reader = _Reader(checkpoint, chosen, given.missing[given.order], batch_windows)
    series = _given_stories(material, given, chosen)
    ends = {story: window_ends(len(rows), chosen) for story, rows in series.items()}
    total, done = sum(map(len, ends.values())), 0
    fill, vectors = given.before_start(chosen.fill, chosen.input_gain), {}
    for story, rows in series.items():
        parts = []
        for part in reader.states(rows, ends[story], places, fill):
            parts.append(part)
            done += len(part)
            progress(f"BrainLM {material.subject}", done, total)
        states = np.concatenate(parts)
        vectors[story] = _spread(states, ends[story], len(rows), chosen.between)
    found = BrainVectors(vectors, _provenance(material, checkpoint, given, chosen, tr))
    return shift_in_time(found, min_shift=chosen.min_shift, seed=seed) if chosen.shift else found


def check_running(checkpoint: BrainLM, dtype: str, batch_windows: int) -> None:
    """Refuse a batch without windows, float16 on a CPU, and TF32 where float32 was asked for."""
    if batch_windows < 1:
        raise InputError(
            "batch_windows", got=f"{batch_windows}", wanted="1 or more", do="Use the default."
        )
    kind = checkpoint.device.type
    if kind == "cpu" and dtype == "float16":
        raise InputError(
            "BrainLM settings: dtype",
            got="float16 on a CPU",
            wanted="float32 or bfloat16",
            do="Use float32, or a GPU.",
        )
    if kind == "cuda" and dtype == "float32" and torch.backends.cuda.matmul.allow_tf32:
        raise InputError(
            "torch float32 products",
            got="TF32, switched on in this process",
            wanted="torch's default",
            do="Call torch.set_float32_matmul_precision('highest'), or ask for bfloat16.",
        )


def window_ends(n_rows: int, settings: BrainLMSettings) -> Int64[np.ndarray, "window"]:
    """Rows at which windows end: every `hop`-th, and the last where rows are interpolated."""
    ends = np.arange(0, n_rows, settings.hop)
    if settings.between == "linear" and ends[-1] != n_rows - 1:
        ends = np.append(ends, n_rows - 1)
    return ends.astype(np.int64)


def pool_weights(
    config: BrainLMConfig, settings: BrainLMSettings, missing: Bool[np.ndarray, "parcel"]
) -> Float32[np.ndarray, "part token"]:
    """Weights of the class token and all patches in each part of a vector; they add up to 1.

    Parameters
    ----------
    config : BrainLMConfig
    settings : BrainLMSettings
    missing : bool array, shape (424,)
        In the order of Y.
    """
    rows, columns = config.grid
    data = config.data_columns
    used = data if settings.pooling == "mean_all_data" else data[-settings.columns :]
    grid = np.zeros((rows, columns))
    for row in config.data_rows:
        parcels = config.row_parcels(row)
        present = np.count_nonzero(~missing[parcels.start : parcels.stop])
        grid[row, used.start : used.stop] = present if settings.row_weights == "coverage" else 1
    patches = np.append(0.0, grid.ravel() / grid.sum())
    first = np.append(1.0, np.zeros(config.n_tokens))
    parts = {"cls": [first], "cls+last": [first, patches]}.get(settings.pooling, [patches])
    return np.stack(parts).astype(np.float32)


class _Reader:
    """Windows -> pooled states, batch by batch."""

    def __init__(
        self,
        checkpoint: BrainLM,
        settings: BrainLMSettings,
        missing: Bool[np.ndarray, "parcel"],
        batch: int,
    ) -> None:
        config, device = checkpoint.config, checkpoint.device
        weights = torch.from_numpy(pool_weights(config, settings, missing)).to(device)
        self.seen = None
        if settings.drop_pad_tokens:
            self.seen = torch.from_numpy(config.data_tokens).to(device)
            weights = weights[:, torch.cat([self.seen.new_zeros(1), self.seen + 1])]
        self.weights, self.batch, self.device = weights, batch, device
        self.encoder, self.layer = checkpoint.network.vit, settings.block(config)
        self.dtype = _DTYPES[settings.dtype]

    def states(
        self,
        rows: Float32[np.ndarray, "time parcel"],
        ends: Int64[np.ndarray, "window"],
        places: SamplePlaces,
        fill: Float32[np.ndarray, "parcel"] | None,
    ) -> Iterator[Float32[np.ndarray, "_ width"]]:
        for start in range(0, len(ends), self.batch):
            yield self._pooled(windows(rows, ends[start : start + self.batch], places, fill))

    @torch.inference_mode()
    def _pooled(
        self, signal: Float32[np.ndarray, "window parcel sample"]
    ) -> Float32[np.ndarray, "window width"]:
        seen = None if self.seen is None else self.seen.expand(len(signal), -1)
        with reduced(self.device, self.dtype):
            tokens = self.encoder(
                torch.from_numpy(signal).to(self.device), seen=seen, layer=self.layer
            )
        return (self.weights @ tokens.float()).flatten(1).cpu().numpy()


def reduced(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Run products in `dtype`; float32 switches nothing."""
    on = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if on else None, enabled=on)


def _given_stories(
    material: BrainMaterial, given: ParcelInput, settings: BrainLMSettings
) -> dict[str, Float32[np.ndarray, "time parcel"]]:
    series = {story: given.story(story, settings.input_gain) for story in material.given}
    for story, rows in series.items():
        if len(rows) != material.recording.rows(story):
            raise InputError(
                f"parcels of {material.subject}, story {story!r}",
                got=f"{len(rows)} rows",
                wanted=f"{material.recording.rows(story)}, as in the responses",
                do="Average the responses of this story anew.",
            )
    return series


def _spread(
    states: Float32[np.ndarray, "window width"],
    ends: Int64[np.ndarray, "window"],
    n_rows: int,
    between: BetweenWindows,
) -> Float32[np.ndarray, "time width"]:
    """Give every row a vector: the last window's, or the weighted mean of its two neighbours."""
    rows = np.arange(n_rows)
    last = np.searchsorted(ends, rows, side="right") - 1
    if between == "hold" or len(ends) == 1:
        return states[last]
    after = np.minimum(last + 1, len(ends) - 1)
    gap = np.maximum(ends[after] - ends[last], 1)
    share = ((rows - ends[last]) / gap).astype(np.float32)[:, None]
    return (1 - share) * states[last] + share * states[after]


def _provenance(
    material: BrainMaterial,
    checkpoint: BrainLM,
    given: ParcelInput,
    settings: BrainLMSettings,
    tr: float,
) -> Provenance:
    facts: dict[str, float | str] = {
        "parcels": float(np.count_nonzero(~given.missing)),
        "parcels of the atlas": float(N_PARCELS),
        "checkpoint": checkpoint.info.digest,
        "weights": checkpoint.info.note or "as the checkpoint says",
        "window": window_rule(settings, tr),
        "rows ahead": float(settings.rows_ahead),
        "scaling": "median and interquartile range per parcel, of fitted_on",
    }
    return Provenance("brainlm", material.subject, fitted_on=material.fitted_on, facts=facts)
