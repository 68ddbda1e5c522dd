"""Which tokens are hidden from the model, and what stands in their place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from brainaligner.aligner._settings import AlignerSettings
from brainaligner.core import InputError

FIXED = 2**32 - 1
"""The epoch under which masks are drawn that stay the same: those of validation."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Token ids that masking needs.

    Parameters
    ----------
    mask : int
        Id of [MASK].
    ordinary : int64 array, shape (token,)
        All ids but the special ones, increasing.
    """

    mask: int
    ordinary: Int64[np.ndarray, "token"]

    @cached_property
    def is_ordinary(self) -> Bool[np.ndarray, "id"]:
        """By id, whether a token may be selected."""
        found = np.zeros(int(self.ordinary[-1]) + 1, dtype=bool)
        found[self.ordinary] = True
        return found

    def may_hide(self, ids: Int64[np.ndarray, "token"]) -> Bool[np.ndarray, "token"]:
        """Whether each token may be selected; special ones, [UNK] among them, may not."""
        known = self.is_ordinary
        return known[np.minimum(ids, len(known) - 1)] & (ids < len(known))


def read_vocabulary(tokenizer: Any) -> Vocabulary:
    """Find the mask token and the tokens that are not special.

    Raises
    ------
    InputError
        If fewer than two tokens are not special.
    """
    special = set(tokenizer.all_special_ids)
    ordinary = np.array(sorted(set(tokenizer.get_vocab().values()) - special), dtype=np.int64)
    if len(ordinary) < 2:
        raise InputError(
            "tokenizer",
            got=f"{len(ordinary)} tokens that are not special",
            wanted="at least two, so that one can stand for another",
            do="Choose another model.",
        )
    return Vocabulary(int(tokenizer.mask_token_id), ordinary)


def name_key(name: str) -> int:
    """64 bits that stand for the name of a story or a subject; the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def draw_masks(
    ids: Int64[np.ndarray, "token"],
    vocabulary: Vocabulary,
    *,
    key: tuple[int, int, int, int],
    settings: AlignerSettings,
) -> tuple[Int64[np.ndarray, "token"], Bool[np.ndarray, "token"]]:
    """Select tokens of one text, and put others in their place.

    Each token is selected by itself with chance `settings.mask_rate`. What is drawn follows
    from `key` alone, so neither batches nor ranks nor an interruption move it.

    Parameters
    ----------
    ids : int64 array, shape (token,)
        The text's tokens, without the special ones around it.
    vocabulary : Vocabulary
    key : tuple of int
        Seed, epoch, story (`name_key`) and row: Philox counts from these.
    settings : AlignerSettings

    Returns
    -------
    tuple of int64 array and bool array, both of shape (token,)
        What the model reads, and which positions were selected.
    """
    seed, epoch, story, row = key
    words = np.array([seed << 32 | epoch, (story + row) % 2**64], dtype=np.uint64)
    rng = np.random.Generator(np.random.Philox(key=words))
    chance, kind = rng.random((2, len(ids)))
    selected = (chance < settings.mask_rate) & vocabulary.may_hide(ids)
    read = ids.copy()
    read[selected & (kind < settings.masked_share)] = vocabulary.mask
    swapped = selected & (kind >= settings.masked_share)
    swapped &= kind < settings.masked_share + settings.random_share
    if swapped.any():
        read[swapped] = _others(ids[swapped], vocabulary.ordinary, rng)
    return read, selected


def _others(
    ids: Int64[np.ndarray, "token"],
    ordinary: Int64[np.ndarray, "word"],
    rng: np.random.Generator,
) -> Int64[np.ndarray, "token"]:
    """A token drawn uniformly for each of `ids`, never itself."""
    drawn = rng.integers(len(ordinary) - 1, size=len(ids))
    return ordinary[drawn + (drawn >= np.searchsorted(ordinary, ids))]
