"""What a brain encoder may look at, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from brainaligner.core import InputError, frozen_array


@runtime_checkable
class Recording(Protocol):
    """The responses of one subject, read block by block of targets.

    Nothing here reaches a test story unless the caller names one: encoders ask for the
    stories of their `BrainMaterial` alone.
    """

    @property
    def n_targets(self) -> int:
        """Columns of the responses."""
        ...

    @property
    def kind(self) -> str:
        """What the columns are, as `Space.kind` says it."""
        ...

    def rows(self, story: str) -> int:
        """TRs of a story."""
        ...

    def responses(self, story: str, targets: slice) -> Float[np.ndarray, "time target"]:
        """Responses to a story at a slice of targets, finite."""
        ...

    def repeats(self, story: str, targets: slice) -> Float[np.ndarray, "repeat time target"] | None:
        """Single presentations of a story; None where there are none."""
        ...


@runtime_checkable
class ParcelSeries(Protocol):
    """Mean responses of the 424 parcels of the A424 atlas, in the order of its labels."""

    @property
    def coverage(self) -> Sequence[int]:
        """Columns (voxels) behind each of the 424 parcels; 0 where a parcel is missing."""
        ...

    def parcels(self, story: str) -> Float[np.ndarray, "time parcel"]:
        """Means of a story, shape (time, 424); NaN in the columns of missing parcels."""
        ...


@runtime_checkable
class StoryDesigns(Protocol):
    """Design rows of the plain language model, scaled and delayed."""

    def design(self, story: str) -> Float[np.ndarray, "time feature"]:
        """Rows of one story, as many as its responses have."""
        ...


@dataclass(frozen=True, eq=False)
class BrainMaterial:
    """All that an encoder is given of one subject.

    Parameters
    ----------
    subject : str
    recording : Recording
    fitted_on : tuple of str
        The aligner's training stories: whatever is estimated, selected or scaled comes from
        them, never from the aligner's validation stories or a test story.
    given : tuple of str
        Stories to give vectors for: those the aligner trains on and stops by.
    repeated : tuple of str
        Stories with single presentations, for encoders that select by explainable variance.
        They may be test stories: the provenance names those that were looked at.
    designs : StoryDesigns, optional
        The plain language model's, for encoders that select by prediction.
    parcels : ParcelSeries, optional
        For the fMRI foundation model.
    """

    subject: str
    recording: Recording
    fitted_on: tuple[str, ...]
    given: tuple[str, ...]
    repeated: tuple[str, ...] = ()
    designs: StoryDesigns | None = None
    parcels: ParcelSeries | None = None

    def __post_init__(self) -> None:
        if not self.fitted_on or not set(self.fitted_on) <= set(self.given):
            raise InputError(
                f"brain encoder of {self.subject}",
                got=f"{len(self.fitted_on)} training stories, {len(self.given)} stories to encode",
                wanted="at least one training story, all of them among the stories to encode",
                do="Name the aligner's training stories in both lists.",
            )


@dataclass(frozen=True)
class Provenance:
    """Where brain vectors come from: what an audit needs to know.

    Parameters
    ----------
    encoder : str
        Entry of `ENCODERS`.
    subject : str
        Whose responses went in.
    fitted_on : tuple of str
        Stories whose responses moved any fitted number (weights, scales, projections).
    chosen_on : tuple of str
        Stories whose responses decided which targets stay.
    columns : tuple of int, optional
        Targets that were kept, in the order of the vectors' columns.
    facts : mapping of str to float or str
        What a reader should know: how many targets were significant, the threshold, coverage.
    """

    encoder: str
    subject: str
    fitted_on: tuple[str, ...] = ()
    chosen_on: tuple[str, ...] = ()
    columns: tuple[int, ...] | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BrainVectors:
    """One vector per TR: what the aligner reads beside the words.

    Parameters
    ----------
    rows : mapping of story to float32 array, shape (time, width)
    provenance : Provenance

    Raises
    ------
    InputError
        If widths differ or a value is not finite.
    """

    rows: Mapping[str, Float32[np.ndarray, "time width"]]
    provenance: Provenance

    def __post_init__(self) -> None:
        where = f"brain vectors of {self.provenance.subject} ({self.provenance.encoder})"
        widths = {values.shape[1] for values in self.rows.values()}
        if len(widths) != 1 or 0 in widths:
            raise InputError(
                where,
                got=f"widths {sorted(widths)} in {len(self.rows)} stories",
                wanted="one width, at least 1, in all stories",
                do="Encode all stories with the same encoder.",
            )
        for story, values in self.rows.items():
            if not np.isfinite(values).all():
                raise InputError(
                    f"{where}, story {story!r}",
                    got="NaN or infinite values",
                    wanted="finite vectors",
                    do="Check the responses that they come from.",
                )
        frozen = {story: frozen_array(values) for story, values in self.rows.items()}
        object.__setattr__(self, "rows", frozen)

    @property
    def width(self) -> int:
        """Numbers per TR."""
        return int(next(iter(self.rows.values())).shape[1])
