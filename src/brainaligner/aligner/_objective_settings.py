"""What a language model is tuned for, beyond the published masked language modelling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from brainaligner.aligner._loss_settings import (
    NOT_NEGATIVE,
    POSITIVE,
    AnchorSettings,
    ContrastiveSettings,
    LanguageSettings,
    MaskedBrainSettings,
    PredictSettings,
    ResponseHeadSettings,
    check_choices,
    check_read,
)
from brainaligner.aligner._settings import (
    AlignerSettings,
    LoraSettings,
    Precision,
    Schedule,
    check_lora,
    check_settings,
    is_betas,
    is_between,
    is_flag,
    is_layers,
    is_whole,
    or_none,
)
from brainaligner.core import InputError, settle_types

DropoutIn = Literal["trained", "all"]
Cache = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Losses over the same batches, what trains, and how.

    A batch holds stretches of consecutive rows of one story each, so that delays lie inside the
    graph. The loss is the sum of the given losses times their weights.

    Parameters
    ----------
    predict, contrastive, masked_brain, anchor, language : settings, optional
        The losses (`OBJECTIVES`). One besides `anchor` at least.
    heads : ResponseHeadSettings
    read_layers : tuple of int
        Layers whose pooled states are read, side by side: ``hidden_states[k]``; negative ones
        count from the end.
    trained_layers : int or "all"
        That many layers are trained, the highest read layer and those right below it.
    lora : LoraSettings, optional
        Train low-rank updates of those layers in place of all their weights.
    max_tokens : int
        Tokens of text in the input; the leftmost are dropped.
    special_tokens : {"input", "pooled", "absent"}
        As `TextSettings` has it.
    stretch : int
        Rows that are predicted in a stretch.
    stretches : int
        In a batch.
    accumulation : int
        Batches of one step.
    learning_rate, betas, weight_decay
        Of AdamW; biases and normalisation weights do not decay.
    warmup_share : float
        Of all steps.
    schedule : {"linear", "constant", "cosine"}
    dropout : float
    dropout_in : {"trained", "all"}
        Layers that drop out while training; with ``"all"`` nothing can be cached.
    clip : float
        Longest gradient (Euclidean); 0 does not clip.
    precision : {"float32", "bfloat16", "float16"}
        Of products under autocast.
    epochs : int
        Passes over all rows.
    evaluations : int
        In each epoch: the validation stories are predicted, and a checkpoint is written.
    patience : int, optional
        Stop after that many evaluations without a lower validation loss. The best weights are
        kept in any case.
    nuisance : {"residual", "none"}
        Predict what a regression on Z (onsets, word rate, place in the story) leaves of the
        responses, or the responses themselves.
    cache : {"auto", "on", "off"}
        Keep the states below the lowest trained layer, in float32 on the disk. ``"auto"`` keeps
        them where they fit, and computes them in float32 all the same where they do not; ``"off"``
        computes them in `precision`.
    mask_rate : float
        Of tokens hidden from masked models by `language` and `anchor`.
    checkpointing : bool
        Compute activations twice in place of keeping them (gradient checkpointing).
    seed : int

    Raises
    ------
    InputError
    """

    predict: PredictSettings | None = None
    contrastive: ContrastiveSettings | None = None
    masked_brain: MaskedBrainSettings | None = None
    anchor: AnchorSettings | None = None
    language: LanguageSettings | None = None
    heads: ResponseHeadSettings = field(default_factory=ResponseHeadSettings)
    read_layers: tuple[int, ...] = (-1,)
    trained_layers: int | Literal["all"] = 2
    lora: LoraSettings | None = None
    max_tokens: int = 200
    special_tokens: Literal["input", "pooled", "absent"] = "input"
    stretch: int = 32
    stretches: int = 4
    accumulation: int = 1
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    schedule: Schedule = "linear"
    dropout: float = 0.0
    dropout_in: DropoutIn = "trained"
    clip: float = 1.0
    precision: Precision = "float32"
    epochs: int = 1
    evaluations: int = 4
    patience: int | None = None
    nuisance: Literal["residual", "none"] = "residual"
    cache: Cache = "auto"
    mask_rate: float = 0.15
    checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="objectives")
        check_choices("objectives", self, _CHOICES)
        check_settings("objectives", self, _RULES)
        check_lora("objectives", self.lora, self.trained_layers)
        if not any(getattr(self, name) is not None for name in TEACHING):
            raise InputError(
                "objectives",
                got="no loss" if self.anchor is None else "anchor alone",
                wanted=f"one of {', '.join(TEACHING)}",
                do="An anchor only holds a model where it is: give it something to learn.",
            )
        if self.cache == "on" and self.drops_below:
            raise InputError(
                "objectives, cache",
                got="'on', with dropout in all layers",
                wanted="lower layers whose states stay the same",
                do="Set dropout_in: trained, dropout: 0, or cache: off.",
            )
        self._check_unread()

    def _check_unread(self) -> None:
        """Refuse what no loss reads; only the key would change.

        Heads may stand beside losses on tokens alone: a control on text has all settings of what
        it controls but the losses.
        """
        heads, kind = self.heads, f"for heads of kind {self.heads.kind!r}"
        trained = heads.kind == "trained" or self.masked_brain is not None
        weighs = self.predict is not None and self.predict.reliability > 0
        check_read(
            "objectives: mask_rate",
            self,
            read=self.reads_tokens,
            told=("without a loss on hidden tokens", "language, or anchor: {kind: kl}"),
        )
        check_read(
            "objectives, heads: learning_rate",
            heads,
            read=trained or not self.reads_brains,
            told=(kind, "heads that are trained: kind: trained, or masked_brain"),
        )
        check_read(
            "objectives, heads: folds",
            heads,
            read=heads.kind == "cross_fitted" or weighs or not self.reads_brains,
            told=(kind, "kind: cross_fitted, or a reliability that weighs targets"),
        )

    @property
    def reads_brains(self) -> bool:
        """Whether any loss looks at responses."""
        losses = (self.predict, self.contrastive, self.masked_brain)
        return any(loss is not None for loss in losses)

    @property
    def reads_tokens(self) -> bool:
        """Whether any loss looks at predicted tokens: the model's own head is needed."""
        return self.language is not None or (self.anchor is not None and self.anchor.kind == "kl")

    @property
    def drops_below(self) -> bool:
        """Whether layers that are not trained drop out."""
        return self.dropout_in == "all" and self.dropout > 0

    @property
    def losses(self) -> dict[str, Any]:
        """Settings of the given losses, by name."""
        names = (*TEACHING, "anchor")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def masking(self) -> AlignerSettings:
        """How tokens are hidden, as the report's masked language modelling has it."""
        return AlignerSettings(
            mask_rate=self.mask_rate, max_tokens=max(self.max_tokens + 8, 4), seed=self.seed
        )


def _are_layers(value: Any) -> bool:
    whole = all(isinstance(layer, int) and not isinstance(layer, bool) for layer in value)
    return bool(value) and whole and len(set(value)) == len(value)


TEACHING = ("predict", "contrastive", "masked_brain", "language")
_CHOICES = {
    "special_tokens": Literal["input", "pooled", "absent"],
    "schedule": Schedule,
    "dropout_in": DropoutIn,
    "precision": Precision,
    "nuisance": Literal["residual", "none"],
    "cache": Cache,
}
_RULES = {
    "read_layers": (_are_layers, "at least one whole number, each once"),
    "trained_layers": (is_layers, "'all', or a whole number of 0 or more"),
    "lora": (or_none(lambda v: isinstance(v, LoraSettings)), "LoraSettings or None"),
    "max_tokens": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "stretch": (lambda v: is_whole(v, 2), "a whole number of 2 or more"),
    "stretches": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "accumulation": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "learning_rate": POSITIVE,
    "betas": (is_betas, "two numbers from 0 to below 1"),
    "weight_decay": NOT_NEGATIVE,
    "warmup_share": (lambda v: is_between(v, 0.0, 1.0), "0 to 1"),
    "dropout": (lambda v: is_between(v, 0.0, 1.0) and v < 1, "0 to below 1"),
    "clip": NOT_NEGATIVE,
    "epochs": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "evaluations": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "patience": (or_none(lambda v: is_whole(v, 1)), "None, or a whole number of 1 or more"),
    "mask_rate": (lambda v: is_between(v, 0.0, 1.0) and v > 0, "above 0, at most 1"),
    "checkpointing": (is_flag, "True or False"),
    "seed": (lambda v: is_whole(v, 0) and v < 2**32, "a whole number from 0 to 2**32 - 1"),
}
