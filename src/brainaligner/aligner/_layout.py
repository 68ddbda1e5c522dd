"""Examples as token ids, and batches of them as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Int64

from brainaligner.aligner._batches import length_batches
from brainaligner.aligner._masking import Vocabulary, draw_masks
from brainaligner.aligner._material import StoryVectors
from brainaligner.aligner._settings import AlignerSettings

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Example:
    """One TR with words.

    Parameters
    ----------
    story, row : str, int
    key : int
        64 bits that stand for the story.
    ids : int64 array, shape (token,)
        Its text, without special tokens.
    """

    story: str
    row: int
    key: int
    ids: Int64[np.ndarray, "token"]


@dataclass(frozen=True, eq=False)
class Frame:
    """What is the same in every input: special tokens, where position ids start, what fits.

    Parameters
    ----------
    before, after : tuple of int
        Special tokens around the text.
    first_position : int
        Position id of the first token.
    pad : int
        Id under the padding.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    first_position: int
    pad: int


@dataclass(frozen=True, eq=False)
class Examples:
    """All examples of a material, ready to be masked and put into batches.

    Parameters
    ----------
    examples : tuple of Example
    frame : Frame
    vocabulary : Vocabulary
    brain : mapping of story to float32 array, shape (time, width), or None
    settings : AlignerSettings
    """

    examples: tuple[Example, ...]
    frame: Frame
    vocabulary: Vocabulary
    brain: StoryVectors | None
    settings: AlignerSettings

    @cached_property
    def lengths(self) -> Int64[np.ndarray, "example"]:
        """Text tokens of each example."""
        return np.array([len(example.ids) for example in self.examples], dtype=np.int64)

    @property
    def n_examples(self) -> int:
        """Texts of one epoch."""
        return len(self.examples)

    @property
    def n_batches(self) -> int:
        """Forward passes of one epoch, over all ranks."""
        return math.ceil(len(self.lengths) / self.settings.batch)

    @property
    def n_steps(self) -> int:
        """Steps of one epoch."""
        return math.ceil(self.n_batches / self.settings.accumulation)

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """Batches of texts of like length, drawn anew in each epoch."""
        drawn = length_batches(self.lengths, self.settings.batch, (self.settings.seed, epoch))
        return [batch.tolist() for batch in drawn]

    def masked(self, index: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What an example's text reads in an epoch, and where tokens were selected."""
        example = self.examples[index]
        key = (self.settings.seed, epoch, example.key, example.row)
        return draw_masks(example.ids, self.vocabulary, key=key, settings=self.settings)

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Inputs of `BrainAligner.forward`, and ``labels``: the tokens at selected positions.

        Examples without a selected token add nothing to the loss and are left out, but for one
        where none has any.
        """
        drawn = {i: self.masked(i, epoch) for i in indices}
        kept = [i for i in indices if drawn[i][1].any()] or list(indices[:1])
        texts = [drawn[i][0] for i in kept]
        inputs = self._tokens(texts)
        width = inputs["input_ids"].shape[1]
        where = [np.flatnonzero(drawn[i][1]) for i in kept]
        places = [n * width + self._text_start() + at for n, at in enumerate(where)]
        labels = [self.examples[i].ids[at] for i, at in zip(kept, where, strict=True)]
        inputs["selected"] = torch.from_numpy(np.concatenate(places))
        inputs["labels"] = torch.from_numpy(np.concatenate(labels))
        if self.brain is not None:
            inputs |= self._brain(kept, [len(text) for text in texts], width)
        return inputs

    def batch_rows(self, indices: Sequence[int], epoch: int) -> Int64[np.ndarray, "position"]:
        """The example behind each selected position of `batch`, in its order."""
        counts = [int(self.masked(i, epoch)[1].sum()) for i in indices]
        return np.repeat(np.asarray(indices, dtype=np.int64), counts)

    @property
    def _n_brain(self) -> int:
        return 0 if self.brain is None else len(self.settings.brain_rows)

    def _text_start(self) -> int:
        ahead = self._n_brain if self.settings.brain_place == "before" else 0
        return len(self.frame.before) + ahead

    def _tokens(self, texts: Sequence[np.ndarray]) -> Batch:
        """Padded ids, and the mask that tells them from padding."""
        frame, gap, start = self.frame, self._n_brain, self._text_start()
        around = len(frame.before) + len(frame.after) + gap
        lengths = np.array([len(text) + around for text in texts])
        ids = np.full((len(texts), lengths.max()), frame.pad, dtype=np.int64)
        for n, text in enumerate(texts):
            ids[n, : len(frame.before)] = frame.before
            ids[n, start : start + len(text)] = text
            ids[n, lengths[n] - len(frame.after) : lengths[n]] = frame.after
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def _brain(self, kept: Sequence[int], lengths: Sequence[int], width: int) -> Batch:
        """Brain vectors, where they stand, and places that differ from the model's own."""
        settings, gap = self.settings, self._n_brain
        ahead = len(self.frame.before)
        starts = [ahead + (0 if settings.brain_place == "before" else n) for n in lengths]
        at = np.array([[n * width + s + k for k in range(gap)] for n, s in enumerate(starts)])
        vectors = [self._vectors(self.examples[i]) for i in kept]
        inputs = {
            "brain": torch.from_numpy(np.concatenate(vectors)),
            "brain_at": torch.from_numpy(at.ravel()),
        }
        if settings.brain_segment:
            segments = np.zeros(len(kept) * width, dtype=np.int64)
            segments[at.ravel()] = settings.brain_segment
            inputs["token_type_ids"] = torch.from_numpy(segments.reshape(-1, width))
        if settings.brain_positions == "text_kept":
            inputs["position_ids"] = self._kept_positions(starts, lengths, width)
        return inputs

    def _vectors(self, example: Example) -> Float32[np.ndarray, "place width"]:
        """Brain vectors of an example, zeros where its rows leave the story."""
        assert self.brain is not None
        story = self.brain[example.story]
        found = np.zeros((self._n_brain, story.shape[1]), dtype=np.float32)
        for place, offset in enumerate(self.settings.brain_rows):
            if 0 <= example.row + offset < len(story):
                found[place] = story[example.row + offset]
        return found

    def _kept_positions(
        self, starts: Sequence[int], lengths: Sequence[int], width: int
    ) -> Int64[torch.Tensor, "text token"]:
        """Tokens count as without brain vectors, which count on from the last token."""
        gap, around = self._n_brain, len(self.frame.before) + len(self.frame.after)
        counts = np.tile(np.arange(width), (len(starts), 1))
        for n, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            counts[n, start : start + gap] = length + around + np.arange(gap)
            counts[n, start + gap : length + around + gap] -= gap
        return torch.from_numpy(counts + self.frame.first_position)
