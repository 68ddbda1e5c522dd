"""Losses that a language model is tuned by: pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int64
from torch.nn import functional

from brainaligner.aligner._loss_settings import PredictionLoss

Rows = Float[torch.Tensor, "stretch row target"]
Loss = Float[torch.Tensor, ""]
_TINY = 1e-8


def prediction_loss(
    predicted: Rows,
    observed: Rows,
    present: Bool[torch.Tensor, "stretch row"],
    weights: Float[torch.Tensor, "target"],
    *,
    loss: PredictionLoss = "squared_error",
) -> Loss:
    """How far predicted responses are from those that were measured.

    ``"squared_error"``: ``mean_v w_v mean_t (p_tv - y_tv)**2``. ``"correlation"``:
    ``1 - mean_v w_v r_v`` with r_v the Pearson correlation over all rows; a target without
    variance has r = 0.

    Parameters
    ----------
    predicted, observed : tensors, shape (stretch, row, target)
    present : bool tensor, shape (stretch, row)
        Rows that were measured; the others do not count.
    weights : tensor, shape (target,)
        Of mean 1.
    loss : {"squared_error", "correlation"}

    Returns
    -------
    tensor without dimensions
        0 where no row is present.
    """
    p, y = predicted[present], observed[present]
    if len(p) < 2:
        return predicted.sum() * 0.0
    if loss == "squared_error":
        return ((p - y).square().mean(0) * weights).mean()
    p, y = p - p.mean(0), y - y.mean(0)
    spread = p.square().sum(0) * y.square().sum(0)
    r = (p * y).sum(0) / spread.clamp(min=_TINY**2).sqrt()
    return 1.0 - (r * weights).mean()


def contrastive_loss(
    predicted: Rows,
    observed: Rows,
    present: Bool[torch.Tensor, "stretch row"],
    place: tuple[Int64[torch.Tensor, "stretch"], Int64[torch.Tensor, "stretch row"]],
    *,
    window: int,
    exclude: int,
    temperature: float,
) -> Loss:
    """Cross-entropy of finding each window's own responses among those of other windows.

    A window is `window` consecutive rows, all targets side by side; s_ij the cosine of predicted
    window i and measured window j. The loss is the mean of
    ``-log exp(s_ii / T) / sum_j exp(s_ij / T)`` over i, and of the same with the roles of
    prediction and measurement exchanged (van den Oord et al. 2018; Radford et al. 2021). j runs
    over windows of other stories, and over those of the same story that begin at least
    `exclude` rows away: nearer ones share their responses.

    Parameters
    ----------
    predicted, observed : tensors, shape (stretch, row, target)
    present : bool tensor, shape (stretch, row)
        Windows with a row that was not measured are left out.
    place : int64 tensors, shapes (stretch,) and (stretch, row)
        The story of each stretch, and which of its rows these are.
    window, exclude : int
        In rows.
    temperature : float
        T.
    """
    p, y = _windows(predicted, window), _windows(observed, window)
    whole = _windows(present[..., None], window).all(-1)
    story, row = place
    first = _windows(row[..., None], window)[..., 0]
    stories = story[:, None].expand(-1, whole.shape[1])[whole]
    first, p, y = first[whole], p[whole], y[whole]
    if len(p) < 2:
        return predicted.sum() * 0.0
    alike = functional.normalize(p, dim=1) @ functional.normalize(y, dim=1).T / temperature
    near = (stories[:, None] == stories) & ((first[:, None] - first).abs() < exclude)
    near.fill_diagonal_(False)
    alike = alike.masked_fill(near, -torch.inf)
    own = torch.arange(len(p), device=p.device)
    return (functional.cross_entropy(alike, own) + functional.cross_entropy(alike.T, own)) / 2


def masked_brain_loss(
    predicted: Rows,
    observed: Rows,
    hidden: Bool[torch.Tensor, "stretch row target"],
    weights: Float[torch.Tensor, "target"],
) -> Loss:
    """Weighted mean of ``(p_tv - y_tv)**2`` over the values that were hidden."""
    count = hidden.sum().clamp(min=1)
    return ((predicted - observed).square() * weights * hidden).sum() / count


def anchor_loss(
    original: Float[torch.Tensor, "token vocabulary"],
    tuned: Float[torch.Tensor, "token vocabulary"],
) -> Loss:
    """``mean_i KL(p_i || q_i)`` (nats) of the original model's tokens p and the tuned one's q."""
    if not len(tuned):
        return tuned.sum() * 0.0
    p, q = functional.log_softmax(original.float(), -1), functional.log_softmax(tuned.float(), -1)
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)


def state_loss(
    original: Float[torch.Tensor, "row feature"], tuned: Float[torch.Tensor, "row feature"]
) -> Loss:
    """Mean squared distance of scaled, pooled states from those of the original model."""
    return (tuned - original).square().mean()


def language_loss(
    logits: Float[torch.Tensor, "token vocabulary"], labels: Int64[torch.Tensor, "token"]
) -> Loss:
    """``-mean_i log p(token_i)`` (nats); 0 without a token."""
    if not len(labels):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits.float(), labels)


def _windows(values: torch.Tensor, window: int) -> torch.Tensor:
    """(stretch, row, target) -> (stretch, window, row of it * target); what is left is dropped."""
    n_stretches, n_rows, n_targets = values.shape
    n_windows = n_rows // window
    kept = values[:, : n_windows * window]
    return kept.reshape(n_stretches, n_windows, window * n_targets)


OBJECTIVES: Mapping[str, Callable[..., Loss]] = {
    "predict": prediction_loss,
    "contrastive": contrastive_loss,
    "masked_brain": masked_brain_loss,
    "anchor": anchor_loss,
    "language": language_loss,
}
"""Losses by the name under which `ObjectiveSettings` has them."""
