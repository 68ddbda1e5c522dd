"""Settings of the losses that a language model is tuned by, and of the heads that they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from brainaligner.aligner._settings import (
    check_settings,
    is_between,
    is_whole,
    or_none,
)
from brainaligner.core import InputError, settle_types, unknown_name

PredictionLoss = Literal["squared_error", "correlation"]
AnchorKind = Literal["kl", "states"]
Heads = Literal["trained", "fixed", "cross_fitted"]

INF = float("inf")
POSITIVE = (lambda v: is_between(v, 0.0, INF) and v > 0, "a finite number above 0")
NOT_NEGATIVE = (lambda v: is_between(v, 0.0, INF), "a finite number of 0 or more")
SHARE = (lambda v: is_between(v, 0.0, 1.0) and v > 0, "above 0, at most 1")
WEIGHT = {"weight": POSITIVE}


@dataclass(frozen=True)
class PredictSettings:
    """Predict each subject's responses from the text (`prediction_loss`).

    Parameters
    ----------
    weight : float
        Of this loss in the sum.
    loss : {"squared_error", "correlation"}
    reliability : float
        Targets weigh as ``max(r, 0) ** reliability``, brought to mean 1, with r of the frozen
        model's linear prediction of training stories from other training stories. 0 weighs all
        alike. No repeats enter, and no story that is tested.
    """

    weight: float = 1.0
    loss: PredictionLoss = "squared_error"
    reliability: float = 0.0

    def __post_init__(self) -> None:
        settle_types(self, where="predict")
        check_choices("predict", self, {"loss": PredictionLoss})
        check_settings("predict", self, WEIGHT | {"reliability": NOT_NEGATIVE})


@dataclass(frozen=True)
class ContrastiveSettings:
    """Tell which window of brain activity goes with which window of text (`contrastive_loss`).

    Parameters
    ----------
    weight : float
    window : int
        Length of a window (in TRs); 4 to 10 of them are 8 to 20 s.
    exclude : int
        Windows of the same story that are fewer TRs apart than this are no negatives.
    temperature : float
    """

    weight: float = 1.0
    window: int = 5
    exclude: int = 8
    temperature: float = 0.1

    def __post_init__(self) -> None:
        settle_types(self, where="contrastive")
        rules = {
            "window": (lambda v: is_whole(v, 1), "a whole number of TRs, 1 or more"),
            "exclude": (lambda v: is_whole(v, 0), "a whole number of TRs, 0 or more"),
            "temperature": POSITIVE,
        }
        check_settings("contrastive", self, WEIGHT | rules)


@dataclass(frozen=True)
class MaskedBrainSettings:
    """Fill in hidden brain activity from the text and the rest of the brain.

    With chance `dropout` a whole stretch of a subject's brain is hidden, so that
    ``E[brain | text]`` is in the loss; of the others the share `hidden` of all values.

    Parameters
    ----------
    weight : float
    dropout : float
        At least one half: with less, the brain predicts itself and the text learns nothing.
    hidden : float
    """

    weight: float = 1.0
    dropout: float = 0.5
    hidden: float = 0.5

    def __post_init__(self) -> None:
        settle_types(self, where="masked_brain")
        rules = {
            "dropout": (lambda v: is_between(v, 0.5, 1.0), "0.5 to 1"),
            "hidden": (lambda v: is_between(v, 0.0, 1.0) and 0 < v < 1, "between 0 and 1"),
        }
        check_settings("masked_brain", self, WEIGHT | rules)


@dataclass(frozen=True)
class AnchorSettings:
    """Stay near the original model (`anchor_loss`, `state_loss`).

    Parameters
    ----------
    weight : float
    kind : {"kl", "states"}
        ``"kl"``: the token distributions of both models, at hidden tokens (masked models) or at
        each next one (causal models). ``"states"``: the pooled states that are read, which costs
        nothing.
    share : float
        Share of the texts of each batch, drawn anew, whose tokens are compared (``"kl"``).
    """

    weight: float = 0.1
    kind: AnchorKind = "states"
    share: float = 0.125

    def __post_init__(self) -> None:
        settle_types(self, where="anchor")
        check_choices("anchor", self, {"kind": AnchorKind})
        check_settings("anchor", self, WEIGHT | {"share": SHARE})
        check_read(
            "anchor: share",
            self,
            read=self.kind == "kl",
            told=(f"for kind {self.kind!r}", "kind: kl, which compares a share of the texts"),
        )


@dataclass(frozen=True)
class LanguageSettings:
    """Go on with language modelling: hidden tokens (masked models), or the next (causal ones).

    Alone, on the same batches and steps, it is the stimulus-tuned control.

    Parameters
    ----------
    weight : float
    share : float
        Share of the texts of each batch, drawn anew, that take part.
    """

    weight: float = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        settle_types(self, where="language")
        check_settings("language", self, WEIGHT | {"share": SHARE})


@dataclass(frozen=True)
class ResponseHeadSettings:
    """From pooled states to responses: delays, a low-rank bottleneck, one map per subject.

    ``y_s(t) = U_s' V' [x(t - d) for d in delays] + c_s`` with x the scaled states of row t. V and
    U_s start as the reduced-rank regression of the frozen model (`fit_reduced_rank`) and the
    ridge of each subject on it.

    Parameters
    ----------
    delays : tuple of int
        Rows by which text precedes responses, as in a design.
    rank : int
        Columns of V.
    alpha : float
        Ridge penalty ahead of the rank's reduction (Huth lab: its root).
    alphas : tuple of float
        Grid of the subjects' ridges; each story of some training stories left out in turn
        chooses.
    kind : {"trained", "fixed", "cross_fitted"}
        ``"trained"``: trained along. ``"fixed"``: kept as they start. ``"cross_fitted"``: kept,
        and each training story is predicted by the heads of the other training stories, so that
        the language model is not taught to follow noise that the heads have learned by heart.
    folds : int
        Of training stories, for ``"cross_fitted"`` and for reliability.
    learning_rate : float, optional
        Of trained heads; None: that of the language model.
    """

    delays: tuple[int, ...] = (1, 2, 3, 4)
    rank: int = 100
    alpha: float = 2e5
    alphas: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5)
    kind: Heads = "trained"
    folds: int = 4
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        settle_types(self, where="heads")
        check_choices("heads", self, {"kind": Heads})
        rules = {
            "delays": (_are_delays, "at least one whole number of rows, each once"),
            "rank": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
            "alpha": POSITIVE,
            "alphas": (_are_alphas, "positive numbers, increasing"),
            "folds": (lambda v: is_whole(v, 2), "a whole number of 2 or more"),
            "learning_rate": (or_none(POSITIVE[0]), "None, or a finite number above 0"),
        }
        check_settings("heads", self, rules)

    @property
    def before(self) -> int:
        """Rows that are read ahead of a stretch of rows that is predicted."""
        return max(0, *self.delays)

    @property
    def after(self) -> int:
        """Rows that are read behind it."""
        return max(0, *(-delay for delay in self.delays))


def check_choices(where: str, settings: object, choices: dict[str, Any]) -> None:
    """Refuse a value that is not one of a field's choices, with the nearest one."""
    for name, options in choices.items():
        value = getattr(settings, name)
        if value not in get_args(options):
            raise unknown_name(where, name, str(value), get_args(options))


def check_read(where: str, settings: object, *, read: bool, told: tuple[str, str]) -> None:
    """Refuse a setting that nothing reads but at its default: it would change the key alone.

    `where` ends with its name; `told` is what stands in its way, and what would read it.
    """
    name = where.rpartition(" ")[2]
    value = getattr(settings, name)
    if not read and value != getattr(type(settings), name):
        raise InputError(
            where, got=f"{value:g} {told[0]}", wanted=told[1], do="Leave it out: nothing reads it."
        )


def _are_delays(value: Any) -> bool:
    whole = all(isinstance(delay, int) and not isinstance(delay, bool) for delay in value)
    return bool(value) and whole and len(set(value)) == len(value)


def _are_alphas(value: Any) -> bool:
    good = all(is_between(alpha, 0.0, float("inf")) and alpha > 0 for alpha in value)
    return bool(value) and good and list(value) == sorted(set(value))
