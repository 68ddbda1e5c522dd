"""Features and arms as a study file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from brainaligner.core import InputError
from brainaligner.encoding import BandedSettings, ReducedRankSettings, RidgeSettings
from brainaligner.text import DesignSettings, TextSettings


@dataclass(frozen=True)
class FeatureConfig:
    """States of one language model, one row per TR.

    Parameters
    ----------
    model : str
        ``"embedded"`` where nothing is said; with `tuning`, the model that was tuned.
    text : TextSettings
    tuning : str, optional
        Entry of the study's ``tunings``: each subject's features come from a model tuned for
        this subject.
    untrained : bool or int, optional
        A network of the model's architecture with weights drawn from its own initialiser, by
        this seed (``true`` is seed 0): what words' forms alone give, without any learning.
    """

    model: str = ""
    text: TextSettings = field(default_factory=TextSettings)
    tuning: str | None = None
    untrained: bool | int | None = None

    def __post_init__(self) -> None:
        drawn = self.untrained is not None and self.untrained is not False
        seed = int(self.untrained or 0) if self.untrained is not True else 0
        object.__setattr__(self, "untrained", seed if drawn else None)
        if drawn and self.tuning is not None:
            raise InputError(
                "features",
                got=f"untrained weights and the tuning {self.tuning!r}",
                wanted="one of them",
                do="Leave one out: a tuned model has learned something.",
            )
        if seed < 0:
            raise InputError(
                "features, untrained", got=str(seed), wanted="0 or more", do="Correct the seed."
            )

    @property
    def seed(self) -> int | None:
        """Seed of the weights where they are drawn; None where they are the checkpoint's."""
        return None if self.untrained is None else int(self.untrained)


@dataclass(frozen=True)
class ArmConfig:
    """One row of the table: features, delays, nuisance block and ridge.

    Parameters
    ----------
    features : tuple of str
        Entries of the study's ``features``, side by side.
    design : DesignSettings
        Delays, scaling and the nuisance block Z.
    ridge : RidgeSettings
    banded : BandedSettings, optional
        Where given, each entry of `features` (and Z) is a band with a penalty of its own,
        and `ridge` is not used.
    reduced_rank : ReducedRankSettings, optional
        Where given, `ridge` reads a projection of the features that is fitted to the training
        responses of all subjects together; its intercept, scaling and form hold for both.
    reference : mapping of group to mapping of subject to r, optional
        Known numbers (a paper, another pipeline) to stand beside ours.
    """

    features: tuple[str, ...]
    design: DesignSettings = field(default_factory=DesignSettings)
    ridge: RidgeSettings = field(default_factory=RidgeSettings)
    banded: BandedSettings | None = None
    reduced_rank: ReducedRankSettings | None = None
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def read(self) -> tuple[str, ...]:
        """Features that the arm's design holds: none of them where Z stands alone."""
        return () if self.design.nuisance == "alone" else self.features

    def __post_init__(self) -> None:
        if not self.features:
            raise InputError(
                "features",
                got="no features",
                wanted="at least one entry",
                do="Name it even for nuisance: alone, whose clock follows it.",
            )
        self._check_reduced_rank()
        for group, by_subject in self.reference.items():
            for subject, r in by_subject.items():
                if not -1 <= r <= 1:
                    raise InputError(
                        f"reference.{group}.{subject}",
                        got=str(r),
                        wanted="a correlation between -1 and 1",
                        do="Correct the reference number.",
                    )

    def _check_reduced_rank(self) -> None:
        if self.reduced_rank is None:
            return
        one_stage = self.reduced_rank.form == "one-stage"
        left_out = self.ridge.selection == "leave_story_out"
        faults = {
            "banded beside it": (self.banded is not None, "one of the two", "Leave one out."),
            "nuisance: alone": (
                self.design.nuisance == "alone",
                "features, whose rank can be reduced",
                "Use nuisance: with, or a plain ridge.",
            ),
            "leave_story_out in the one-stage form, and several choices": (
                one_stage and left_out and self.reduced_rank.n_choices > 1,
                "a choice on validation stories",
                "Use selection: validation, or one rank and one alpha.",
            ),
        }
        for got, (wrong, wanted, do) in faults.items():
            if wrong:
                raise InputError("reduced_rank", got=got, wanted=wanted, do=do)
