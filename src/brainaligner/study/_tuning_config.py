"""What a study file may say about brain encoders and tuned models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from brainaligner.aligner import HEAD_SETTINGS, AlignerSettings, ObjectiveSettings, Precision
from brainaligner.brain import BrainLMConfig, BrainLMSettings, BrainSettings
from brainaligner.core import InputError
from brainaligner.text import DesignSettings, TextSettings

BRAINLM = "brainlm"
NEED_FEATURES = ("encoding_selection", "split_half_reliability")
"""Encoders that select by what a plain language model predicts."""
CROSS_FIT_FOLDS = 5
WHOSE = ("own", "next")


@dataclass(frozen=True)
class BrainConfig:
    """A brain encoder: what the aligner reads beside the words.

    Parameters
    ----------
    encoder : BrainSettings, optional
        Voxels, components or controls. Either this or `brainlm`.
    brainlm : BrainLMSettings, optional
        The fMRI foundation model.
    checkpoint : str, optional
        Folder of its weights, for `brainlm` only.
    random : BrainLMConfig, optional
        In the checkpoint's place: random weights of this geometry, drawn with `seed`. For
        demonstrations and as a control.
    parcels : str, optional
        File that ``brainaligner data parcels`` wrote, beside the data or an absolute path; for
        `brainlm`, where the responses are voxels.
    features : str, optional
        Entry of the study's ``features`` (a plain model), for encoders that select by
        prediction.
    design : DesignSettings
        Delays and scaling of these features.
    subject : {"own", "next"}
        Whose brain: the subject's own, or that of the study's next subject (a control, for
        tunings with ``subjects: own``).
    seed : int
    """

    encoder: BrainSettings | None = None
    brainlm: BrainLMSettings | None = None
    checkpoint: str | None = None
    random: BrainLMConfig | None = None
    parcels: str | None = None
    features: str | None = None
    design: DesignSettings = field(default_factory=DesignSettings)
    subject: Literal["own", "next"] = "own"
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.encoder is None) == (self.brainlm is None):
            raise InputError(
                "brain encoder",
                got="both or neither of 'encoder' and 'brainlm'",
                wanted="one of the two",
                do="Write encoder: {kind: encoding_selection}, or brainlm: {} with a checkpoint.",
            )
        sources = [name for name in ("checkpoint", "random") if getattr(self, name) is not None]
        if len(sources) != (self.brainlm is not None):
            raise InputError(
                "brain encoder, checkpoint and random",
                got=" and ".join(sources) or "neither",
                wanted="one of them exactly where 'brainlm' stands",
                do="Name the folder of the weights: checkpoint: brainlm/vitmae_650M.",
            )
        if self.seed < 0:
            raise InputError(
                "brain encoder, seed", got=str(self.seed), wanted="0 or more", do="Correct it."
            )
        self._check_unread()
        random = self.random
        if random is not None and (random.hidden_size % 4 or random.decoder_hidden_size % 4):
            raise InputError(
                "brain encoder, random",
                got=f"widths {random.hidden_size} and {random.decoder_hidden_size} (decoder)",
                wanted="multiples of 4",
                do="Choose such hidden sizes.",
            )

    def _check_unread(self) -> None:
        selects = self.kind in NEED_FEATURES
        unread = {
            "features": self.features is not None and not selects,
            "design": self.design != DesignSettings() and not selects,
            "parcels": self.parcels is not None and self.brainlm is None,
        }
        for name, given in unread.items():
            if given:
                raise InputError(
                    f"brain encoder, {name}",
                    got=str(getattr(self, name)),
                    wanted=f"nothing, for {self.kind!r} does not read it",
                    do="Leave it out.",
                )

    @property
    def kind(self) -> str:
        """Name of the encoder."""
        return BRAINLM if self.encoder is None else self.encoder.kind

    @property
    def shifted(self) -> bool:
        """Whether its vectors are moved in time: a control."""
        settings = self.encoder or self.brainlm
        return settings is not None and settings.shift


@dataclass(frozen=True)
class HeadConfig:
    """How a masked-LM head is learned, all else frozen, where a checkpoint has none.

    Parameters
    ----------
    epochs : int
        At most that many.
    learning_rate : float
    batch : int
    precision : {"float32", "bfloat16", "float16"}
    seed : int
    """

    epochs: int = HEAD_SETTINGS.epochs
    learning_rate: float = HEAD_SETTINGS.learning_rate
    batch: int = HEAD_SETTINGS.batch
    precision: Precision = HEAD_SETTINGS.precision
    seed: int = HEAD_SETTINGS.seed

    @property
    def settings(self) -> AlignerSettings:
        """All settings of that training."""
        return replace(HEAD_SETTINGS, **vars(self))


_WANTED = {
    "seeds": "different seeds of 0 or more",
    "cross_fit": "two folds or more, or null for the plain protocol",
    "subjects": "own where no objectives are given: masked language modelling reads one brain",
    "brain": "a brain exactly where an objective looks at responses",
    "aligner": "one of aligner (the published masked language modelling) and objectives",
    "context_from": "left context that it can bound (context_rows)",
}
_OF_BRAIN_VECTORS = ("train_projection", "brain_place", "brain_segment", "brain_positions")
WHOSE_BRAINS = ("own", "all", "others")


@dataclass(frozen=True)
class TuningConfig:
    """A language model tuned on text and brain activity.

    Parameters
    ----------
    model : str
        Masked language model to start from, as in ``features``.
    brain : str, optional
        Entry of the study's ``brains``: what is read beside the words, or, with `objectives`,
        what is predicted. None: training on text alone.
    clock : {"own", "previous"}
        Which words a TR has, as in ``features``.
    context_rows : int
        TRs of left context in the text.
    context_from : {"sound", "first_row"}
        Where left context begins, as in ``features``.
    aligner : AlignerSettings
        Of the published masked language modelling; its ``seed`` is replaced by each of `seeds`.
    objectives : ObjectiveSettings, optional
        In the place of `aligner`: losses that predict the brain, and others.
    subjects : {"own", "all", "others"}
        Whose brains a model is tuned on, with `objectives`: one model for each subject, one for
        all together, or for each subject one that is tuned on all others.
    head : HeadConfig
        How a masked-LM head is learned where the checkpoint has none.
    validation_stories : int
        Training stories set aside to stop by; the ridge trains on them too.
    division_seed : int
        Draws them.
    seeds : tuple of int
    cross_fit : int, optional
        Folds of training stories: one model for each, which never saw its stories, makes their
        ridge rows. Tunings without a brain have the same default, so that a control differs
        from what it controls by the brain alone. None: one model, tuned on all of them (the
        published study's plain protocol).
    """

    model: str = "embedded"
    brain: str | None = None
    clock: Literal["own", "previous"] = "own"
    context_rows: int = 0
    context_from: Literal["sound", "first_row"] = "sound"
    aligner: AlignerSettings = field(default_factory=AlignerSettings)
    objectives: ObjectiveSettings | None = None
    subjects: Literal["own", "all", "others"] = "own"
    head: HeadConfig = field(default_factory=HeadConfig)
    validation_stories: int = 4
    division_seed: int = 0
    seeds: tuple[int, ...] = (0,)
    cross_fit: int | None = CROSS_FIT_FOLDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))
        faults = {
            "validation_stories": self.validation_stories < 1,
            "context_rows": self.context_rows < 0,
            "division_seed": self.division_seed < 0,
            "cross_fit": self.cross_fit is not None and self.cross_fit < 2,
            "subjects": self.objectives is None and self.subjects != "own",
            "brain": self.objectives is not None
            and self.objectives.reads_brains != (self.brain is not None),
            "aligner": self.objectives is not None and self.aligner != AlignerSettings(),
            "context_from": self.context_from != "sound" and not self.context_rows,
            "seeds": not self.seeds
            or len(set(self.seeds)) < len(self.seeds)
            or min(self.seeds, default=0) < 0,
        }
        for name, faulty in faults.items():
            if faulty:
                raise InputError(
                    f"tuning, {name}",
                    got=str(getattr(self, name)),
                    wanted=_WANTED.get(name, "a larger number"),
                    do="Correct it.",
                )
        self._check_unread()

    def _check_unread(self) -> None:
        """Refuse what only brain vectors have; `brain_rows` leaves room for them in any case."""
        for name in _OF_BRAIN_VECTORS:
            value = getattr(self.aligner, name)
            if self.brain is None and value != getattr(AlignerSettings, name):
                raise InputError(
                    f"tuning, aligner: {name}",
                    got=f"{value} without a brain",
                    wanted="a brain, for a tuning on text alone does not read it",
                    do="Leave it out.",
                )

    @property
    def text(self) -> TextSettings:
        """Which words each TR is trained with."""
        return TextSettings(
            clock=self.clock, context_rows=self.context_rows, context_from=self.context_from
        )

    def participants(self, subject: str, listeners: Sequence[str]) -> tuple[str, ...]:
        """Those on whose brains the model of a subject is tuned."""
        if self.subjects == "own":
            return (subject,)
        return tuple(s for s in listeners if self.subjects == "all" or s != subject)
