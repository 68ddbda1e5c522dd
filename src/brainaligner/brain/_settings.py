"""Which brain encoder, and what it may be told."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from brainaligner.core import InputError, settle_types, unknown_name
from brainaligner.encoding import RidgeSettings

Standardise = Literal["training", "story", "none"]

_CHOICE = ("k", "share", "standardise", "shift", "min_shift")
FIELDS: dict[str, tuple[str, ...]] = {
    "high_ev": _CHOICE,
    "encoding_selection": (*_CHOICE, "ridge", "n_folds", "fdr", "n_permutations"),
    "split_half_reliability": (*_CHOICE, "ridge"),
    "all": ("standardise", "shift", "min_shift"),
    "pca": ("width", "standardise", "shift", "min_shift"),
    "random_projection": ("width", "standardise", "shift", "min_shift"),
    "noise": ("width", "shift", "min_shift"),
    "constant": (),
}
"""Fields of `BrainSettings` that each kind reads."""

SELECTION_RIDGE = RidgeSettings(selection="leave_story_out", intercept=True)
_LEAST = {"k": 1, "n_folds": 2, "n_permutations": 20, "width": 1, "min_shift": 1}


@dataclass(frozen=True)
class BrainSettings:
    """One entry of `ENCODERS` and all that can change its numbers.

    A field that the kind does not read is refused wherever it differs from its default.

    Parameters
    ----------
    kind : str
        Entry of `ENCODERS`.
    k : int, optional
        Most targets that are kept, the best first; None: no limit, which only
        "encoding_selection" can take, as it keeps significant targets alone.
    share : float
        Part of the targets that is the limit instead where there are fewer than `k`.
    standardise : {"training", "story", "none"}
        Targets are z-scored (``ddof = 0``) by their statistics over all rows of the
        aligner's training stories, or story by story, each by its own, or not at all.
        A target without variance there becomes zeros.
    ridge : RidgeSettings
        Of the ridge that selects: ``argmin ||Y - X W||^2 + alpha ||W||^2`` (Huth lab: the
        square root of this alpha). Several alphas want ``selection="leave_story_out"``.
    n_folds : int
        Folds of training stories whose responses are predicted from the other folds.
    fdr : float
        Level of Benjamini and Hochberg's adjusted p, within (0, 1).
    n_permutations : int
        Block permutations behind each p, at least 20.
    width : int
        Numbers per TR of "pca", "random_projection" and "noise".
    shift : bool
        Control: move the vectors circularly in time, each story by its own random number
        of rows.
    min_shift : int
        Least rows of such a shift, in either direction; a third of the story where it has
        fewer than ``2 min_shift + 10`` rows.

    Raises
    ------
    InputError
        For an unknown kind, a value out of range, or one that the kind does not read.
    """

    kind: str
    k: int | None = 10_000
    share: float = 0.5
    standardise: Standardise = "training"
    ridge: RidgeSettings = SELECTION_RIDGE
    n_folds: int = 5
    fdr: float = 0.05
    n_permutations: int = 1000
    width: int = 1024
    shift: bool = False
    min_shift: int = 40

    def __post_init__(self) -> None:
        settle_types(self, where="brain settings")
        if self.kind not in FIELDS:
            raise unknown_name("brain settings", "kind", str(self.kind), FIELDS)
        self._check_unread()
        self._check_values()
        self._check_together()

    def _check_unread(self) -> None:
        read = FIELDS[self.kind]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if field.name not in read and value != field.default:
                raise _refusal(
                    field.name,
                    value,
                    f"its default, for {self.kind!r} does not read it",
                    do="Leave it out.",
                )

    def _check_values(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise _refusal(name, value, f"a whole number, {least} or more")
        for name in ("share", "fdr"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise _refusal(name, value, "a number between 0 and 1")
        if self.standardise not in get_args(Standardise):
            options = get_args(Standardise)
            raise unknown_name("brain settings", "standardise", str(self.standardise), options)

    def _check_together(self) -> None:
        if self.k is None and self.kind != "encoding_selection":
            do = "Give the number of targets to keep, or use the kind 'all'."
            raise _refusal("k", self.k, f"a number: {self.kind!r} would choose nothing", do=do)
        if self.k is None and self.share != 0.5:
            raise _refusal("share", self.share, "its default, for without k there is no limit")
        if not self.shift and self.min_shift != 40:
            raise _refusal("min_shift", self.min_shift, "its default where shift is false")
        ridge = self.ridge
        if not isinstance(ridge, RidgeSettings):
            raise _refusal("ridge", ridge, "RidgeSettings")
        if len(ridge.alphas) > 1 and ridge.selection != "leave_story_out":
            do = "Use selection='leave_story_out', or give one alpha."
            wanted = "alphas chosen inside the training stories"
            raise _refusal("ridge.selection", ridge.selection, wanted, do=do)


@dataclass(frozen=True)
class EncoderOptions:
    """What changes how an encoder runs, and no number beyond rounding.

    Parameters
    ----------
    device : str
        Any torch device with float64; ridge and "pca" run there.
    target_block : int
        Targets read at once. An encoder holds that many of all its stories.
    keep_bytes : int
        Memory for projected responses that a shared alpha lets the ridge use twice.
    """

    device: str = "cpu"
    target_block: int = 2048
    keep_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        settle_types(self, where="encoder options")
        if self.target_block < 1 or self.keep_bytes < 0:
            raise InputError(
                "encoder options",
                got=f"target_block {self.target_block!r}, keep_bytes {self.keep_bytes!r}",
                wanted="at least one target at once, and no negative memory",
                do="Use the defaults.",
            )


def _refusal(
    name: str, value: object, wanted: str, *, do: str = "Correct it in the brain settings."
) -> InputError:
    return InputError(f"brain setting {name!r}", got=repr(value), wanted=wanted, do=do)
