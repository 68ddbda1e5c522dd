"""What can change a number of a tuned model, and what only changes how tuning runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from brainaligner.core import InputError, settle_types, unknown_name

Place = Literal["before", "after"]
Positions = Literal["in_line", "text_kept"]
Schedule = Literal["linear", "constant", "cosine"]
Precision = Literal["float32", "bfloat16", "float16"]

_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank updates of the trained layers' linear maps, in place of their own weights.

    ``W' = W + (alpha / rank) B A`` with A (rank x in) and B (out x rank), B starting at 0
    (Hu et al. 2021). They are merged into W before anything is saved.

    Parameters
    ----------
    rank : int
    alpha : float
    dropout : float
        Share of the update's input that is dropped while training.
    dora : bool
        Learn the length of each output's weights apart from their direction (Liu et al. 2024).

    Raises
    ------
    InputError
        For a value outside its range.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    dora: bool = False

    def __post_init__(self) -> None:
        settle_types(self, where="LoRA settings")
        check_settings("LoRA settings", self, _LORA_RULES)


@dataclass(frozen=True)
class AlignerSettings:
    """How a language model is tuned on text and brain vectors by masked language modelling.

    The defaults are those of the report, where it states them; not stated there, and our
    choice: head, brain place, segment and position ids, schedule, clipping, epochs, patience.

    Parameters
    ----------
    mask_rate : float
        Chance of each text token to be selected, apart from every other. Special tokens and
        brain positions never are.
    masked_share, random_share : float
        Shares of the selected tokens that become [MASK], or another token drawn uniformly from
        the vocabulary without special tokens; the rest stays as it is.
    trained_layers : int or "all"
        That many top layers are trained; embeddings and the layers below stay as they are.
    lora : LoraSettings, optional
        Train low-rank updates of those layers' linear maps in place of all their weights.
    train_head : bool
        Train the masked-LM head, save for an output matrix that is the input embeddings.
    train_projection : bool
        Train the map from brain vectors to the model's width. False keeps the drawn one, so
        that no gradient passes the frozen layers; that is cheaper.
    brain_rows : tuple of int
        Rows, counted from the text's, whose brain vectors are read, in this order: ``(0,)`` the
        text's own TR, ``(1, 2, 3, 4)`` BOLD of the next four. Rows outside the story are zeros.
    brain_place : {"before", "after"}
        Side of the text on which they stand, inside the special tokens.
    brain_segment : {0, 1}
        Token type of brain positions; text has 0.
    brain_positions : {"in_line", "text_kept"}
        Position ids count through brain and text, or text and special tokens keep the ids that
        they have without brain vectors and the brain's follow the last of these.
    max_tokens : int
        Longest input, special tokens and brain positions counted; the leftmost text is dropped.
    batch, accumulation : int
        Examples of one forward pass over all ranks, and passes of one step: the effective batch
        is their product on any number of ranks.
    learning_rate, betas, weight_decay
        Of AdamW; biases and normalisation weights do not decay.
    warmup_steps : int, optional
        Steps in which the learning rate rises linearly from 0.
    warmup_share : float, optional
        The same as a share of all steps. Exactly one of the two is given.
    schedule : {"linear", "constant", "cosine"}
        After warm-up: down to 0 over all `epochs`, or constant.
    dropout : float
        Every dropout of the language model while it is tuned.
    clip : float
        Longest gradient (Euclidean); 0 does not clip.
    precision : {"float32", "bfloat16", "float16"}
        Of products under autocast; weights and their updates are float32.
    epochs : int
        At most that many passes over the training stories.
    patience : int, optional
        Stop after that many epochs without a lower masked loss on the validation stories, whose
        masks are fixed. None never stops early. The best epoch's weights are kept in any case.
    seed : int
        Of masks, batches, dropout and LoRA's start; `load_aligner` draws the projection.

    Raises
    ------
    InputError
        For a value outside these sets.
    """

    mask_rate: float = 0.15
    masked_share: float = 0.8
    random_share: float = 0.1
    trained_layers: int | Literal["all"] = 2
    lora: LoraSettings | None = None
    train_head: bool = True
    train_projection: bool = True
    brain_rows: tuple[int, ...] = (0,)
    brain_place: Place = "before"
    brain_segment: int = 0
    brain_positions: Positions = "in_line"
    max_tokens: int = 256
    batch: int = 32
    accumulation: int = 2
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int | None = 2000
    warmup_share: float | None = None
    schedule: Schedule = "linear"
    dropout: float = 0.1
    clip: float = 1.0
    precision: Precision = "float32"
    epochs: int = 20
    patience: int | None = 3
    seed: int = 0

    def __post_init__(self) -> None:
        settle_types(self, where="aligner settings")
        for name, options in _CHOICES.items():
            if getattr(self, name) not in options:
                raise unknown_name("aligner settings", name, str(getattr(self, name)), options)
        check_settings("aligner settings", self, _RULES)
        check_lora("aligner settings", self.lora, self.trained_layers)
        self._check_shares()
        self._check_warmup()

    def _check_shares(self) -> None:
        if self.masked_share + self.random_share > 1 + 1e-12:
            raise InputError(
                "aligner settings: masked_share and random_share",
                got=f"{self.masked_share} and {self.random_share}",
                wanted="shares that sum to 1 or less",
                do="Lower one of them; the rest of the selected tokens stays unchanged.",
            )

    def _check_warmup(self) -> None:
        if (self.warmup_steps is None) == (self.warmup_share is None):
            raise InputError(
                "aligner settings: warm-up",
                got=f"warmup_steps {self.warmup_steps} and warmup_share {self.warmup_share}",
                wanted="exactly one of them",
                do="Set the other to None.",
            )


@dataclass(frozen=True)
class TuningOptions:
    """How tuning runs, which changes no number beyond rounding.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        Under torchrun each rank takes the GPU of its local rank.
    save_steps : int, optional
        Write a checkpoint after every so many steps too, not only after each epoch.
    log_steps : int
        Steps between two lines of history.
    states : Path, optional
        Folder of states below trained layers that never change, for all runs that are given it:
        a file's name follows from its content. None: in the run's own folder.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    save_steps: int | None = None
    log_steps: int = 25
    states: Path | None = None

    def __post_init__(self) -> None:
        settle_types(self, where="tuning options")
        if self.device not in ("cpu", "cuda"):
            raise unknown_name("tuning options", "device", str(self.device), ("cpu", "cuda"))
        check_settings("tuning options", self, _OPTION_RULES)


def is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_between(value: Any, low: float, high: float) -> bool:
    """Whether a number lies in [low, high]; strings, booleans and NaN do not."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and low <= value <= high


def check_settings(where: str, settings: object, rules: _Rules) -> None:
    for name, (is_right, wanted) in rules.items():
        value = getattr(settings, name)
        if not is_right(value):
            raise InputError(
                f"{where}: {name}", got=repr(value), wanted=wanted, do="Correct this value."
            )


def check_lora(where: str, lora: LoraSettings | None, trained_layers: int | str) -> None:
    """Refuse low-rank updates of no layer."""
    if lora is not None and trained_layers == 0:
        raise InputError(
            f"{where}: lora",
            got="low-rank updates, and no trained layer",
            wanted="trained_layers of 1 or more, for the updates are of these layers alone",
            do="Raise trained_layers, or leave lora out.",
        )


def is_layers(value: Any) -> bool:
    return value == "all" or is_whole(value, 0)


def _rows(value: Any) -> bool:
    whole = all(isinstance(row, int) and not isinstance(row, bool) for row in value)
    return bool(value) and whole and len(set(value)) == len(value)


def is_betas(value: Any) -> bool:
    return len(value) == 2 and all(is_between(beta, 0.0, 1.0) and beta < 1 for beta in value)


def or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_INF = float("inf")
_CHOICES = {
    "brain_place": get_args(Place),
    "brain_positions": get_args(Positions),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}
_RULES: _Rules = {
    "mask_rate": (lambda v: is_between(v, 0.0, 1.0) and v > 0, "above 0, at most 1"),
    "masked_share": (lambda v: is_between(v, 0.0, 1.0), "0 to 1"),
    "random_share": (lambda v: is_between(v, 0.0, 1.0), "0 to 1"),
    "trained_layers": (is_layers, "'all', or a whole number of 0 or more"),
    "lora": (or_none(lambda v: isinstance(v, LoraSettings)), "LoraSettings or None"),
    "train_head": (is_flag, "True or False"),
    "train_projection": (is_flag, "True or False"),
    "brain_rows": (_rows, "at least one whole number of rows, each once"),
    "brain_segment": (lambda v: is_whole(v, 0) and v <= 1, "0 or 1"),
    "max_tokens": (lambda v: is_whole(v, 4), "a whole number of 4 or more"),
    "batch": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "accumulation": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "learning_rate": (lambda v: is_between(v, 0.0, _INF) and v > 0, "a finite number above 0"),
    "betas": (is_betas, "two numbers from 0 to below 1"),
    "weight_decay": (lambda v: is_between(v, 0.0, _INF), "a finite number of 0 or more"),
    "warmup_steps": (or_none(lambda v: is_whole(v, 0)), "None, or a whole number of 0 or more"),
    "warmup_share": (or_none(lambda v: is_between(v, 0.0, 1.0)), "None, or 0 to 1"),
    "dropout": (lambda v: is_between(v, 0.0, 1.0) and v < 1, "0 to below 1"),
    "clip": (lambda v: is_between(v, 0.0, _INF), "a finite number of 0 or more"),
    "epochs": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "patience": (or_none(lambda v: is_whole(v, 1)), "None, or a whole number of 1 or more"),
    "seed": (lambda v: is_whole(v, 0) and v < 2**32, "a whole number from 0 to 2**32 - 1"),
}
_LORA_RULES: _Rules = {
    "rank": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "alpha": (lambda v: is_between(v, 0.0, _INF) and v > 0, "a finite number above 0"),
    "dropout": (lambda v: is_between(v, 0.0, 1.0) and v < 1, "0 to below 1"),
    "dora": (is_flag, "True or False"),
}
_OPTION_RULES: _Rules = {
    "save_steps": (or_none(lambda v: is_whole(v, 1)), "None, or a whole number of 1 or more"),
    "log_steps": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
}
