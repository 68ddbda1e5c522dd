"""What a language model is tuned on beyond masked tokens: texts, and responses to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import InputError, frozen_array
from brainaligner.text import RowText

StoryArrays = Mapping[str, Float32[np.ndarray, "_ _"]]


@dataclass(frozen=True, eq=False)
class StoryMaterial:
    """Texts of some stories, one per TR, with the responses of any number of subjects.

    Parameters
    ----------
    texts : mapping of story to its row texts
        As `brainaligner.text.row_texts` gives them, for as many rows as any subject has.
    responses : mapping of subject to mapping of story to float32 array, shape (time, target)
        Of at most these stories; a subject may lack some, or their last rows. Targets are
        voxels, parcels or components, standardised within each story.
    nuisance : mapping of story to float array, shape (time, column)
        Z of each story, where responses are to be freed of it.

    Raises
    ------
    InputError
        If there is no story, a subject has responses to a story without texts, more rows than
        texts, values that are not finite, or numbers of targets that differ.
    """

    texts: Mapping[str, Sequence[RowText]]
    responses: Mapping[str, StoryArrays] = field(default_factory=dict)
    nuisance: Mapping[str, Float[np.ndarray, "_ _"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = {story: tuple(rows) for story, rows in self.texts.items()}
        object.__setattr__(self, "texts", texts)
        if not any(text.own for rows in texts.values() for text in rows):
            raise InputError(
                "story material",
                got=f"{len(texts)} stories without a word",
                wanted="at least one row with words",
                do="Give stories with transcripts.",
            )
        checked = {s: self._checked(s, stories) for s, stories in self.responses.items()}
        object.__setattr__(self, "responses", checked)

    @property
    def stories(self) -> tuple[str, ...]:
        """All stories."""
        return tuple(self.texts)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Those with responses."""
        return tuple(self.responses)

    def n_targets(self, subject: str) -> int:
        """Targets of a subject."""
        return int(next(iter(self.responses[subject].values())).shape[1])

    def freed(
        self, weights: Mapping[str, Float[np.ndarray, "_ _"]]
    ) -> dict[str, dict[str, np.ndarray]]:
        """Responses less what Z explains of them, by subject and story."""
        return {
            subject: {
                story: values - (self._z(story, len(values)) @ weights[subject])
                for story, values in stories.items()
            }
            for subject, stories in self.responses.items()
        }

    def nuisance_weights(self) -> dict[str, Float[np.ndarray, "column target"]]:
        """``argmin_B ||Y - Z B||^2`` of each subject over all stories given here."""
        return {
            subject: np.linalg.lstsq(
                np.concatenate([self._z(story, len(y)) for story, y in stories.items()]),
                np.concatenate(list(stories.values())).astype(np.float64),
                rcond=None,
            )[0]
            for subject, stories in self.responses.items()
        }

    def _z(self, story: str, n_rows: int) -> Float[np.ndarray, "time column"]:
        if story not in self.nuisance or len(self.nuisance[story]) < n_rows:
            raise InputError(
                f"story material: nuisance, story {story!r}",
                got="no columns" if story not in self.nuisance else "too few rows",
                wanted=f"columns of Z for {n_rows} rows",
                do="Give nuisance_columns of each story, or use nuisance='none'.",
            )
        return np.asarray(self.nuisance[story][:n_rows], dtype=np.float64)

    def _checked(self, subject: str, stories: StoryArrays) -> dict[str, np.ndarray]:
        where = f"story material: responses of {subject}"
        widths = {np.shape(values)[-1] for values in stories.values()}
        unknown = sorted(set(stories) - set(self.texts))
        if unknown or len(widths) != 1 or 0 in widths:
            raise InputError(
                where,
                got=f"widths {sorted(widths)}, {len(unknown)} stories without texts: {unknown[:3]}",
                wanted="responses of one width, to stories that have texts",
                do="Give texts and responses of the same stories.",
            )
        for story, values in stories.items():
            finite = bool(np.isfinite(values).all())
            if values.ndim != 2 or not 0 < len(values) <= len(self.texts[story]) or not finite:
                raise InputError(
                    f"{where}, story {story!r}",
                    got=f"shape {values.shape}" + ("" if finite else ", not finite"),
                    wanted=f"a finite matrix of at most {len(self.texts[story])} rows",
                    do="Trim the recording, and replace what is missing where the data are read.",
                )
        return {story: frozen_array(values) for story, values in stories.items()}
