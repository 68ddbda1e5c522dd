"""How many tokens texts have, estimated from their words; each story is counted once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from brainaligner.study._features import Stimuli
from brainaligner.text import RowText, TextSettings, story_texts

TOKENS_PER_WORD = 1.35


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """Counts for some stimuli, kept once they are made.

    Parameters
    ----------
    stimuli : Stimuli
    """

    stimuli: Stimuli
    _kept: dict[Hashable, float] = field(default_factory=dict)

    def of_story(self, settings: TextSettings, story: str, n_rows: int) -> float:
        """Tokens of all texts of a story."""
        place = (_without_layer(settings), story, n_rows)
        if place not in self._kept:
            self._kept[place] = _tokens(self._texts(settings, story, n_rows))
        return self._kept[place]

    def different(self, settings: TextSettings) -> float:
        """Tokens of all different texts of all stories."""
        place = _without_layer(settings)
        if place not in self._kept:
            rows = self.stimuli.rows.items()
            texts = {t for story, n in rows for t in self._texts(settings, story, n)}
            self._kept[place] = _tokens(texts)
        return self._kept[place]

    def _texts(self, settings: TextSettings, story: str, n_rows: int) -> tuple[RowText, ...]:
        transcript = self.stimuli.transcripts[story]
        return story_texts(transcript, self.stimuli.clock, n_rows, settings=settings)


def _without_layer(settings: TextSettings) -> TextSettings:
    return replace(settings, layer=-1)


def _tokens(texts: Iterable[RowText]) -> float:
    return sum((TOKENS_PER_WORD * len(t.text.split()) + 3 for t in texts if t.own), 0.0)
