"""Batches of stretches: consecutive rows of one story, with their texts and responses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64

from brainaligner.aligner._masking import FIXED, Vocabulary, draw_masks, name_key
from brainaligner.aligner._objective_settings import ObjectiveSettings
from brainaligner.aligner._token_table import ReadBelow, TokenTable, text_groups

Pooled = Mapping[str, Float32[np.ndarray, "_ _"]]


@dataclass(frozen=True)
class Stretch:
    """Rows `start` to `start` + the settings' `stretch` of a story; some may lie outside it."""

    story: str
    start: int


@dataclass(frozen=True, eq=False)
class Side:
    """One side (training or validation) as batches are made of it.

    Parameters
    ----------
    table : TokenTable
    original : mapping of story to float32 array, shape (time, feature)
        Pooled states of the model before tuning, not scaled.
    responses : mapping of subject to mapping of story to float32 array, shape (time, target)
    folds : mapping of story to int
        Which heads predict it.
    settings : ObjectiveSettings
    vocabulary : Vocabulary or None
        None for causal models.
    below : callable, optional
        Cached states that enter the lowest trained layer.
    """

    table: TokenTable
    original: Pooled
    responses: Mapping[str, Pooled]
    folds: Mapping[str, int]
    settings: ObjectiveSettings
    vocabulary: Vocabulary | None
    below: ReadBelow | None = None

    @property
    def n_examples(self) -> int:
        """As many as there are stretches."""
        return self.n_stretches

    @property
    def n_stretches(self) -> int:
        """Stretches of one epoch, at least: where they begin is drawn."""
        size = self.settings.stretch
        return sum(math.ceil(len(rows) / size) for rows in self.table.rows.values())

    @property
    def n_batches(self) -> int:
        """Forward passes of one epoch, over all ranks."""
        return math.ceil(self.n_stretches / self.settings.stretches)

    @property
    def n_steps(self) -> int:
        """Steps of one epoch."""
        return math.ceil(self.n_batches / self.settings.accumulation)

    def stretches(self, epoch: int) -> list[Stretch]:
        """All stretches of an epoch, in random order; each row lies in one of them.

        Under the fixed epoch they begin with the story's first row, in order.
        """
        size, found = self.settings.stretch, []
        for story, rows in self.table.rows.items():
            rng = np.random.default_rng([self.settings.seed, epoch, name_key(story)])
            offset = 0 if epoch == FIXED else int(rng.integers(size))
            found += [Stretch(story, start) for start in range(-offset, len(rows), size)]
        if epoch == FIXED:
            return found
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(found))
        return [found[i] for i in order]

    def epoch_batches(self, epoch: int) -> list[list[Stretch]]:
        """Stretches of each batch, `n_batches` of them, of like size."""
        found = self.stretches(epoch)
        parts = np.array_split(np.arange(len(found)), self.n_batches)
        return [[found[i] for i in part] for part in parts]

    def batch(self, stretches: Sequence[Stretch], epoch: int) -> dict[str, Any]:
        """Tensors of some stretches; see `ObjectiveModel.forward`."""
        heads, size = self.settings.heads, self.settings.stretch
        length = heads.before + size + heads.after
        places = np.stack([np.arange(s.start - heads.before, s.start + size + heads.after)
                           for s in stretches])  # fmt: skip
        inside = np.stack(
            [
                (row >= 0) & (row < len(self.table.rows[stretch.story]))
                for stretch, row in zip(stretches, places, strict=True)
            ]
        )
        texts = np.full((len(stretches), length), -1)
        for n, stretch in enumerate(stretches):
            texts[n, inside[n]] = self.table.rows[stretch.story][places[n, inside[n]]]
        where = np.flatnonzero(texts.ravel() >= 0)
        made: dict[str, Any] = {
            "groups": self._groups(texts.ravel()[where], where),
            "inside": torch.from_numpy(inside),
            "fold": torch.tensor([self.folds[s.story] for s in stretches]),
            "story": torch.tensor([name_key(s.story) >> 1 for s in stretches]),
            "row": torch.from_numpy(places[:, heads.before : heads.before + size].copy()),
        }
        made |= self._scaling(stretches)
        made["subjects"] = [self._responses(subject, stretches) for subject in self.responses]
        if self.settings.anchor is not None and self.settings.anchor.kind == "states":
            made["original"] = self._original(stretches, places, inside)
        if self.settings.masked_brain is not None:
            made["hidden"] = self._hidden(made["subjects"], stretches, epoch)
        if self.settings.reads_tokens:
            made |= self._tokens(stretches, texts, places, epoch)
        return made

    def _groups(
        self, texts: Int64[np.ndarray, "text"], where: Int64[np.ndarray, "text"]
    ) -> list[dict[str, torch.Tensor]]:
        return [
            group | {"where": torch.from_numpy(where[part])}
            for part, group in text_groups(self.table, texts, self.below)
        ]

    def _scaling(self, stretches: Sequence[Stretch]) -> dict[str, torch.Tensor]:
        """Mean and inverse standard deviation of each story's pooled states before tuning."""
        found = [story_scaling(self.original[s.story]) for s in stretches]
        centre, inverse = (np.stack(parts) for parts in zip(*found, strict=True))
        return {"centre": torch.from_numpy(centre), "inverse": torch.from_numpy(inverse)}

    def _responses(self, subject: str, stretches: Sequence[Stretch]) -> dict[str, torch.Tensor]:
        size, stories = self.settings.stretch, self.responses[subject]
        n_targets = next(iter(stories.values())).shape[1]
        observed = np.zeros((len(stretches), size, n_targets), dtype=np.float32)
        present = np.zeros((len(stretches), size), dtype=bool)
        for n, stretch in enumerate(stretches):
            rows = stories.get(stretch.story)
            if rows is None:
                continue
            start, stop = max(stretch.start, 0), min(stretch.start + size, len(rows))
            if start < stop:
                at = slice(start - stretch.start, stop - stretch.start)
                observed[n, at], present[n, at] = rows[start:stop], True
        return {"observed": torch.from_numpy(observed), "present": torch.from_numpy(present)}

    def _original(
        self, stretches: Sequence[Stretch], places: np.ndarray, inside: np.ndarray
    ) -> torch.Tensor:
        rows = [self.original[s.story] for s in stretches]
        found = np.zeros((*places.shape, rows[0].shape[1]), dtype=np.float32)
        for n, values in enumerate(rows):
            found[n, inside[n]] = values[places[n, inside[n]]]
        return torch.from_numpy(found)

    def _hidden(
        self, subjects: Sequence[Mapping[str, torch.Tensor]], stretches: Sequence[Stretch],
        epoch: int,
    ) -> list[torch.Tensor]:  # fmt: skip
        """Which measured values are hidden: all of a stretch, or a share of them.

        Drawn by the subject's name: in whatever order subjects are given, the same are hidden.
        """
        settings = self.settings.masked_brain
        assert settings is not None
        found = []
        for subject, one in zip(self.responses, subjects, strict=True):
            drawn = []
            for stretch in stretches:
                key = [
                    self.settings.seed,
                    epoch,
                    name_key(stretch.story),
                    stretch.start + 2**20,
                    name_key(subject),
                ]
                rng = np.random.default_rng(key)
                whole = rng.random() < settings.dropout
                share = rng.random(tuple(one["observed"].shape[1:])) < settings.hidden
                drawn.append(share | whole)
            hidden = torch.from_numpy(np.stack(drawn))
            found.append(hidden & one["present"][..., None])
        return found

    def _tokens(
        self, stretches: Sequence[Stretch], texts: np.ndarray, places: np.ndarray, epoch: int
    ) -> dict[str, dict[str, torch.Tensor]]:
        """Inputs and labels of the losses on tokens: of a share of the texts, drawn by row."""
        heads = self.settings.heads
        own = slice(heads.before, heads.before + self.settings.stretch)
        found = {}
        for name in ("language", "anchor"):
            loss = getattr(self.settings, name)
            if loss is None or (name == "anchor" and loss.kind != "kl"):
                continue
            rows = [
                (int(text), name_key(stretch.story), int(place))
                for stretch, row, at in zip(stretches, texts[:, own], places[:, own], strict=True)
                for text, place in zip(row, at, strict=True)
                if text >= 0
            ]
            kept = [r for r in rows if self._draw(r[1:], epoch, name) < loss.share]
            found[f"{name}_tokens"] = self._labelled(kept or rows[:1], epoch)
        return found

    def _draw(self, row: tuple[int, int], epoch: int, name: str) -> float:
        key = [self.settings.seed, epoch, *row, len(name)]
        return float(np.random.default_rng(key).random())

    def _labelled(self, rows: list[tuple[int, int, int]], epoch: int) -> dict[str, torch.Tensor]:
        """Texts with hidden tokens (masked models), or whole ones whose own tokens are next."""
        found = [self._labels(*row, epoch) for row in rows]
        width = max((len(ids) for ids, *_ in found), default=1)
        ids = np.full((len(found), width), self.table.pad, dtype=np.int64)
        mask = np.zeros((len(found), width), dtype=np.int64)
        selected, labels = [], []
        for n, (read, at, wanted) in enumerate(found):
            ids[n, : len(read)], mask[n, : len(read)] = read, 1
            selected.append(n * width + at)
            labels.append(wanted)
        made = {
            "input_ids": ids,
            "attention_mask": mask,
            "selected": np.concatenate(selected or [np.zeros(0, dtype=np.int64)]),
            "labels": np.concatenate(labels or [np.zeros(0, dtype=np.int64)]),
        }
        return {name: torch.from_numpy(values) for name, values in made.items()}

    def _labels(
        self, text: int, story: int, row: int, epoch: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        token = self.table.tokens[text]
        if self.vocabulary is None:
            at = np.flatnonzero(token.weights > 0)
            at = at[at > 0]
            return token.ids, at - 1, token.ids[at]
        key = (self.settings.seed, epoch, story, row)
        read, hidden = draw_masks(
            token.ids, self.vocabulary, key=key, settings=self.settings.masking
        )
        return read, np.flatnonzero(hidden), token.ids[hidden]


def story_scaling(
    values: Float32[np.ndarray, "time feature"],
) -> tuple[Float32[np.ndarray, "feature"], Float32[np.ndarray, "feature"]]:
    """Mean and inverse standard deviation over a story; 0 for a feature without variance."""
    mean = values.mean(axis=0, dtype=np.float64)
    spread = values.std(axis=0, dtype=np.float64)
    flat = spread <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
    inverse = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, spread))
    return mean.astype(np.float32), inverse.astype(np.float32)


def scaled_rows(values: Float32[np.ndarray, "time feature"]) -> Float32[np.ndarray, "time feature"]:
    """Standardise pooled states within their story, as batches do."""
    centre, inverse = story_scaling(values)
    return ((values - centre) * inverse).astype(np.float32)
