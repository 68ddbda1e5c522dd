"""The module that is tuned: a language model, heads to the responses, and its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import nn

from brainaligner.aligner._heads import ResponseHeads, StartedHeads
from brainaligner.aligner._model import BrainAligner
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._objectives import (
    anchor_loss,
    contrastive_loss,
    language_loss,
    masked_brain_loss,
    prediction_loss,
    state_loss,
)
from brainaligner.aligner._span import LayerSpan

Rows = Float[torch.Tensor, "stretch row target"]


class ObjectiveModel(nn.Module):
    """From a batch of `Side.batch` to the value of each loss.

    Parameters
    ----------
    aligner : BrainAligner
        The copy that is trained.
    span : LayerSpan
        Of its base model.
    settings : ObjectiveSettings
    started : StartedHeads, optional
        Where any loss looks at responses.
    subjects : sequence of str
    original : BrainAligner, optional
        The model before tuning, for an anchor on its token distribution.
    """

    def __init__(
        self,
        aligner: BrainAligner,
        span: LayerSpan,
        settings: ObjectiveSettings,
        *,
        started: StartedHeads | None = None,
        subjects: Sequence[str] = (),
        original: BrainAligner | None = None,
    ) -> None:
        super().__init__()
        self.aligner = aligner
        self.span, self.settings = span, settings
        self._original = (original,)  # in a tuple: it is neither trained nor saved
        self.heads: ResponseHeads | None = None
        if started is not None:
            with_brain = settings.masked_brain is not None
            self.heads = ResponseHeads(started, subjects, with_brain=with_brain)
            for n, subject in enumerate(subjects):
                weights = torch.from_numpy(started.reliability[subject].copy())
                self.register_buffer(f"reliability_{n}", weights, persistent=False)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Compute the given losses, without their weights, and ``"predicted"`` in evaluation.

        Returns
        -------
        dict of str to tensor
            By name of the loss; ``"predicted/<n>"``: the n-th subject's predicted responses.
        """
        losses: dict[str, torch.Tensor] = {}
        if self.heads is not None or "original" in batch:
            scaled = self.scaled_states(batch)
            if self.heads is not None:
                losses |= self._of_responses(scaled, batch)
            if "original" in batch:
                losses["anchor"] = self._of_states(scaled, batch)
        losses |= self._of_tokens(batch)
        return losses

    def scaled_states(self, batch: Mapping[str, Any]) -> Float[torch.Tensor, "stretch row feature"]:
        """Pooled states of each row, on the scale of their story; 0 outside the story."""
        inside, centre = batch["inside"], batch["centre"]
        pooled = centre.new_zeros(inside.numel(), centre.shape[1])
        for group in batch["groups"]:
            wanted = group["pool"] > 0
            states = self.span.states(group["ids"], group["mask"], self._below(group), wanted)
            read = torch.cat([states[k].float() for k in self.span.read], dim=-1)
            rows = torch.bmm(group["pool"][:, None], read)[:, 0]
            pooled = pooled.index_copy(0, group["where"], rows.to(pooled.dtype))
        rows = pooled.view(*inside.shape, -1)
        scaled = (rows - centre[:, None]) * batch["inverse"][:, None]
        return scaled * inside[..., None]

    def _below(self, group: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """What enters the span: kept, or in float32 as it would have been kept on a larger disk.

        None where the span computes it in the precision of all else.
        """
        settings, below = self.settings, group.get("below")
        might_be_kept = (
            settings.cache == "auto" and not settings.drops_below and self.span.first > 1
        )
        if below is not None or not might_be_kept or settings.precision == "float32":
            return below
        with torch.no_grad(), torch.autocast(group["ids"].device.type, enabled=False):
            return self.span.lower(group["ids"], group["mask"])

    def _delayed(self, scaled: torch.Tensor) -> torch.Tensor:
        heads, size = self.settings.heads, self.settings.stretch
        return torch.cat(
            [scaled[:, heads.before - d : heads.before - d + size] for d in heads.delays], dim=-1
        )

    def _of_responses(
        self, scaled: torch.Tensor, batch: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Losses on responses, as the mean over subjects."""
        assert self.heads is not None
        codes = self.heads.codes(self._delayed(scaled), batch["fold"])
        found: dict[str, list[torch.Tensor]] = {}
        predictions = {}
        for n, one in enumerate(batch["subjects"]):
            predicted = self.heads.predicted(codes, batch["fold"], n)
            predictions[f"predicted/{n}"] = predicted
            for name, loss in self._of_subject(n, predicted, one, codes, batch).items():
                found.setdefault(name, []).append(loss)
        losses = {name: torch.stack(values).mean() for name, values in found.items()}
        return losses if self.training else losses | predictions

    def _of_subject(
        self,
        n: int,
        predicted: Rows,
        one: Mapping[str, torch.Tensor],
        codes: torch.Tensor,
        batch: Mapping[str, Any],
    ) -> dict[str, torch.Tensor]:
        settings, heads = self.settings, self.heads
        observed, present = one["observed"], one["present"]
        weights = getattr(self, f"reliability_{n}")
        found = {}
        if settings.predict is not None:
            kind = settings.predict.loss
            found["predict"] = prediction_loss(predicted, observed, present, weights, loss=kind)
        if settings.contrastive is not None:
            chosen = settings.contrastive
            found["contrastive"] = contrastive_loss(
                predicted,
                observed,
                present,
                (batch["story"], batch["row"]),
                window=chosen.window,
                exclude=chosen.exclude,
                temperature=chosen.temperature,
            )
        if settings.masked_brain is not None:
            assert heads is not None
            hidden = batch["hidden"][n]
            seen = observed.masked_fill(hidden, 0.0)
            filled = heads.predicted(codes, batch["fold"], n, seen=seen)
            found["masked_brain"] = masked_brain_loss(filled, observed, hidden, weights)
        return found

    def _of_states(self, scaled: torch.Tensor, batch: Mapping[str, Any]) -> torch.Tensor:
        before = (batch["original"] - batch["centre"][:, None]) * batch["inverse"][:, None]
        inside = batch["inside"]
        return state_loss(before[inside], scaled[inside])

    def _of_original(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        labels = inputs.pop("labels")
        if not len(labels):
            return labels.new_zeros((), dtype=torch.float32)
        (original,) = self._original
        assert original is not None
        original.to(labels.device)
        with torch.no_grad():
            before = original(**inputs)
        return anchor_loss(before, self.aligner(**inputs))

    def _of_tokens(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        found = {}
        if "language_tokens" in batch:
            inputs = dict(batch["language_tokens"])
            labels = inputs.pop("labels")
            found["language"] = labels.new_zeros((), dtype=torch.float32)
            if len(labels):
                found["language"] = language_loss(self.aligner(**inputs), labels)
        if "anchor_tokens" in batch:
            found["anchor"] = self._of_original(dict(batch["anchor_tokens"]))
        return found
