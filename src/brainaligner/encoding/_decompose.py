"""One eigendecomposition of the training designs, good for every alpha and every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped, UInt8

from brainaligner.core import (
    InputError,
    Progress,
    array_digest,
    frozen_array,
    no_progress,
    unknown_name,
)
from brainaligner.encoding._device import compute_device
from brainaligner.encoding._eigen import symmetric_eigen
from brainaligner.encoding._settings import RidgeSettings
from brainaligner.encoding._stories import Designs, as_designs, no_stories, read_design

Standard = tuple[Float64[np.ndarray, "feature"], Float64[np.ndarray, "feature"]]
Survey = tuple[list[int], list[UInt8[np.ndarray, "32"]], Standard]


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Eigenvectors of the training designs, standardised as the settings ask.

    With ``X`` the stacked designs, centred and scaled:
    primal ``X'X = basis diag(eigenvalues) basis'``, dual
    ``X X' = basis diag(eigenvalues) basis'``. It knows nothing of responses, so subjects
    who heard the same stories share it.

    Parameters
    ----------
    dual : bool array, shape ()
        Whether the rows of `basis` are TRs (dual) or features (primal).
    intercept, scaled : bool arrays, shape ()
        Whether `centre` holds training means (else zeros), and whether `scale` holds
        training standard deviations (else ones).
    eigenvalues : float64 array, shape (direction,)
        Increasing; those within rounding of 0 are 0.
    basis : float64 array, shape (item, direction)
        Orthonormal columns.
    centre, scale : float64 arrays, shape (feature,)
        Standardised features are ``(x - centre) / scale``.
    n_rows : int64 array, shape (story,)
        TRs of each training story.
    digests : uint8 array, shape (story, 32)
        SHA-256 of each training design, to refuse other designs later.
    """

    dual: Bool[np.ndarray, ""]
    intercept: Bool[np.ndarray, ""]
    scaled: Bool[np.ndarray, ""]
    eigenvalues: Float64[np.ndarray, "direction"]
    basis: Float64[np.ndarray, "item direction"]
    centre: Float64[np.ndarray, "feature"]
    scale: Float64[np.ndarray, "feature"]
    n_rows: Int64[np.ndarray, "story"]
    digests: UInt8[np.ndarray, "story 32"]

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.centre.shape[0])

    def as_arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Every field as a numeric array, for npz, hdf5 or safetensors."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> Decomposition:
        """Rebuild what `as_arrays` gave."""
        fields = tuple(cls.__dataclass_fields__)
        for name in fields:
            if name not in arrays:
                raise unknown_name("stored decomposition", "array", name, arrays)
        return cls(**{name: np.asarray(arrays[name]) for name in fields})


def decompose(
    train: Designs | Sequence[Shaped[np.ndarray, "..."]],
    *,
    settings: RidgeSettings,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Decomposition:
    """Decompose the training designs once, for all alphas of
    ``argmin_W ||Y - X W||_F^2 + alpha ||W||_F^2``.

    (The Huth-lab code penalises with ``alpha**2``: its alpha is the square root of ours.)
    The primal form reads each design twice, one at a time, and keeps a feature x feature
    matrix: its memory does not grow with the number of stories. The dual form keeps all
    designs and a TR x TR matrix. All arithmetic is float64.

    Parameters
    ----------
    train : Designs, or sequence of float arrays (time, feature)
    settings : RidgeSettings
        `form`, `intercept` and `scaling` enter; alphas do not.
    device : str
        Any torch device with float64.

    Raises
    ------
    InputError
        If there are fewer than two rows, feature counts differ, a value is not finite,
        or the device cannot be used.
    """
    on = compute_device(device)
    designs = as_designs(train)
    n_rows, digests, standard = _survey(designs, settings, progress)
    dual = settings.form == "dual" or (settings.form == "auto" and standard[0].size > sum(n_rows))
    build = _kernel if dual else _gram
    matrix = build(designs, standard, on, progress)
    eigenvalues, basis = symmetric_eigen(matrix)
    return Decomposition(
        dual=np.array(dual),
        intercept=np.array(settings.intercept),
        scaled=np.array(settings.scaling == "training"),
        eigenvalues=_without_rounding(eigenvalues).cpu().numpy(),
        basis=basis.cpu().numpy(),
        centre=standard[0],
        scale=standard[1],
        n_rows=np.array(n_rows, dtype=np.int64),
        digests=np.stack(digests),
    )


def check_decomposition(
    decomposition: Decomposition, designs: Designs, settings: RidgeSettings
) -> None:
    """Refuse a decomposition that was made of other designs or with other settings."""
    made = (bool(decomposition.intercept), bool(decomposition.scaled))
    wanted = (settings.intercept, settings.scaling == "training")
    form = "dual" if decomposition.dual else "primal"
    if made != wanted or settings.form not in ("auto", form):
        raise _foreign("another intercept, scaling or form")
    if len(designs) != decomposition.n_rows.size:
        raise _foreign(f"{decomposition.n_rows.size} stories")
    for i in range(len(designs)):
        if (design_digest(read_design(designs, i)) != decomposition.digests[i]).any():
            raise _foreign(f"a design {i} (counted from 0) with other values")


def design_digest(design: Float[np.ndarray, "time feature"]) -> UInt8[np.ndarray, "32"]:
    """SHA-256 of a design, as bytes."""
    return np.frombuffer(bytes.fromhex(array_digest(design)), dtype=np.uint8)


def standardised(
    design: Float[np.ndarray, "time feature"],
    standard: Standard,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Float[torch.Tensor, "time feature"]:
    """Return ``(design - centre) / scale``: computed in float64, then rounded to `dtype`."""
    centre, scale = standard
    rows = torch.tensor(design, device=device)
    if centre.any() or (scale != 1.0).any():
        means, deviations = (torch.tensor(values, device=device) for values in standard)
        rows = (rows.double() - means) / deviations
    return rows.to(dtype)


def _foreign(difference: str) -> InputError:
    return InputError(
        "decomposition",
        got=f"one that was made with {difference}",
        wanted="the decomposition of these training stories with these settings",
        do="Call decompose on them, or leave the argument out.",
    )


def _survey(designs: Designs, settings: RidgeSettings, progress: Progress) -> Survey:
    if len(designs) == 0:
        raise no_stories("training stories")
    first = read_design(designs, 0)
    pivot = first[0].astype(np.float64)  # sums around a row of the data lose no digits
    n_rows, digests = [], []
    total, squares = np.zeros_like(pivot), np.zeros_like(pivot)
    for i in range(len(designs)):
        values = read_design(designs, i, pivot.size)
        shifted = values - pivot
        total += shifted.sum(axis=0)
        squares += np.square(shifted).sum(axis=0)
        n_rows.append(int(values.shape[0]))
        digests.append(design_digest(values))
        progress("survey of designs", i + 1, len(designs))
    if sum(n_rows) < 2:
        raise InputError(
            "training stories",
            got="1 row in all",
            wanted="at least 2",
            do="Train on more TRs.",
        )
    centre, scale = np.zeros_like(pivot), np.ones_like(pivot)
    if settings.intercept:
        centre = pivot + total / sum(n_rows)
    if settings.scaling == "training":
        variance = squares / sum(n_rows) - np.square(total / sum(n_rows))
        varies = variance > 1e-12 * squares / sum(n_rows)
        scale[varies] = np.sqrt(variance[varies])
    return n_rows, digests, (centre, scale)


def _without_rounding(
    eigenvalues: Float64[torch.Tensor, "direction"],
) -> Float64[torch.Tensor, "direction"]:
    noise = eigenvalues.numel() * torch.finfo(torch.float64).eps * eigenvalues[-1]
    return torch.where(eigenvalues > noise, eigenvalues, torch.zeros_like(eigenvalues))


def _gram(
    designs: Designs, standard: Standard, device: torch.device, progress: Progress
) -> Float64[torch.Tensor, "feature feature"]:
    on64 = partial(standardised, standard=standard, dtype=torch.float64, device=device)
    n_features = standard[0].size
    step = max(256, n_features // 6)
    gram = torch.zeros((n_features, n_features), dtype=torch.float64, device=device)
    for i in range(len(designs)):
        design = on64(read_design(designs, i))
        for a in range(0, n_features, step):  # what lies below the diagonal is a mirror image
            gram[a : a + step, a:].addmm_(design[:, a : a + step].T, design[:, a:])
        progress("products of features", i + 1, len(designs))
    return gram.triu() + gram.triu(1).T


def _kernel(
    designs: Designs, standard: Standard, device: torch.device, progress: Progress
) -> Float64[torch.Tensor, "time time"]:
    on64 = partial(standardised, standard=standard, dtype=torch.float64, device=device)
    kept = [read_design(designs, i) for i in range(len(designs))]
    edges = np.cumsum([0] + [design.shape[0] for design in kept])
    kernel = torch.zeros((edges[-1], edges[-1]), dtype=torch.float64, device=device)
    for i, rows in enumerate(kept):
        left = on64(rows)
        for j in range(i + 1):
            right = on64(kept[j])
            block = left @ right.T
            kernel[edges[i] : edges[i + 1], edges[j] : edges[j + 1]] = block
            kernel[edges[j] : edges[j + 1], edges[i] : edges[i + 1]] = block.T
        progress("products of TRs", i + 1, len(kept))
    return kernel
