"""Left context that begins with row 0."""

from __future__ import annotations

import numpy as np
import pytest

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text import TextSettings, story_texts

WORDS = tuple("abcdefgh")
ONSETS = np.array([1.0, 9.0, 10.5, 12.5, 13.0, 14.5, 17.0, 19.0])
CLOCK = Clock(tr=2.0, first=11.0)  # row 0 is [10, 12) s


@pytest.mark.parametrize(
    "context", [{"context_rows": 9}, {"context_seconds": 60.0}, {"context_words": 9}]
)
@pytest.mark.parametrize("resample", ["window", "lanczos"])
def test_words_before_row_0_are_context_only_of_the_sound(
    context: dict[str, float], resample: str
) -> None:
    transcript = Transcript("s", WORDS, ONSETS, ONSETS + 0.1)
    for begins, first in (("sound", 0), ("first_row", 2)):
        settings = TextSettings(**context, resample=resample, context_from=begins)
        texts = story_texts(transcript, CLOCK, 5, settings=settings)
        for text in texts:
            if text.own and text.own[0] >= WORDS[first]:
                before = WORDS[first : WORDS.index(text.own[0])]
                assert text.context == before


def test_it_wants_a_context() -> None:
    with pytest.raises(InputError, match="context_from"):
        TextSettings(context_from="first_row")
