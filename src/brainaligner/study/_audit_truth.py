"""What should have entered a study: the dataset read again, designs made again.

Nothing here goes through the code that the stages go through: arrays are read from the store
and from the dataset, and designs are put together column by column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from brainaligner.core import text_hashes, zscore
from brainaligner.evaluation import ReadAgain
from brainaligner.study._designs import ArmDesign
from brainaligner.study._disk import read_array
from brainaligner.study._plan import Plan
from brainaligner.study._witness import KEPT_COLUMNS, KEPT_TARGETS, sampled
from brainaligner.text import n_nuisance_columns, nuisance_columns

Series = Float[np.ndarray, "_time _column"]


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that the audit compares with, read when asked for and kept.

    Parameters
    ----------
    plan : Plan
    """

    plan: Plan
    _responses: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _designs: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of the study."""
        return tuple(self.plan.prepared.division.splits)

    def responses(self, subject: str) -> dict[str, np.ndarray]:
        """Responses to every story of a subject's division, at a sample of targets."""
        if subject not in self._responses:
            dataset = self.plan.prepared.dataset
            columns = sampled(dataset.space(subject).size, KEPT_TARGETS)
            targets = slice(columns.start, columns.stop, columns.step)
            self._responses[subject] = {
                story: np.array(dataset.responses(subject, story, targets).values)
                for story in dataset.stories(subject)
                if story not in dataset.withheld
            }
        return self._responses[subject]

    def read_again(self, subject: str) -> ReadAgain:
        """The same with the other subjects beside."""
        others = {other: self.responses(other) for other in self.subjects if other != subject}
        return ReadAgain(subject, self.responses(subject), others, self.repeated)

    @cached_property
    def repeated(self) -> frozenset[str]:
        """Stories whose responses average several presentations.

        The dataset says so, or holds the single presentations.
        """
        dataset, first = self.plan.prepared.dataset, slice(0, 1)
        heard = {
            (subject, story)
            for subject in self.subjects
            for story in dataset.stories(subject)
            if story not in dataset.withheld
        }
        return frozenset(
            story
            for subject, story in heard
            if dataset.presentations(story) > 1
            or dataset.repeats(subject, story, first) is not None
        )

    @cached_property
    def words(self) -> dict[str, np.ndarray]:
        """Hashes of each story's words."""
        known = self.plan.prepared.division.stimuli.transcripts
        return {story: text_hashes(transcript.words) for story, transcript in known.items()}

    def design(self, design: ArmDesign, story: str, n_rows: int, *, scaled: bool = True) -> Series:
        """One story's design at a sample of columns, made from stored features and words.

        Where `scaled` is false, features stand as they are stored.
        """
        keys = "+".join(space.recipe.key for space in design.single)
        place = (f"{keys}/{design.arm.design}/{design.shift}/{scaled}", story, n_rows)
        if place not in self._designs:
            self._designs[place] = _design(design, story, n_rows, scaled)
        return self._designs[place]


def design_width(design: ArmDesign) -> int:
    """Columns of an arm's design, Z included."""
    settings = design.arm.design
    own = 0 if settings.nuisance == "alone" else design.n_feature_columns
    return own + n_nuisance_columns(settings)


def _design(design: ArmDesign, story: str, n_rows: int, scaled: bool) -> Series:
    settings = design.arm.design
    scaling = settings.scaling if scaled else "none"
    columns = list(sampled(design_width(design), KEPT_COLUMNS))
    made = np.zeros((n_rows, len(columns)), dtype=np.float32)
    first = 0
    for space in design.single if settings.nuisance != "alone" else ():
        stored = read_array(space.folder / "features.npz", story)[:n_rows]
        width = stored.shape[1]
        for place, column in enumerate(columns):
            block, feature = divmod(column - first, width)
            if 0 <= column - first < width * len(settings.delays):
                made[:, place] = _delayed(
                    _scaled(stored[:, feature], scaling), settings.delays[block]
                )
        first += width * len(settings.delays)
    if settings.nuisance != "none":
        z = _nuisance(design, story, n_rows) * settings.nuisance_scale
        for place, column in enumerate(columns):
            if column >= first:
                made[:, place] = z[:, column - first]
    return made


def _scaled(column: np.ndarray, scaling: str) -> np.ndarray:
    return zscore(column[:, None])[:, 0] if scaling == "story" else column


def _delayed(column: np.ndarray, delay: int) -> np.ndarray:
    moved = np.zeros_like(column)
    for row in range(len(column)):
        if 0 <= row - delay < len(column):
            moved[row] = column[row - delay]
    return moved


def _nuisance(design: ArmDesign, story: str, n_rows: int) -> np.ndarray:
    return nuisance_columns(
        design.stimuli.transcripts[story],
        design.stimuli.clock,
        n_rows,
        shift=design.shift,
        delays=design.arm.design.delays,
        with_word_length=design.arm.design.word_length,
    )
