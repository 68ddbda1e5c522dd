"""What becomes of parcel series on their way into BrainLM, and of its tokens after it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from brainaligner.brain._brainlm_config import BrainLMConfig
from brainaligner.core import InputError, settle_types, unknown_name

BrainLMPooling = Literal["last_columns", "cls", "cls+last", "mean_all_data"]
RowWeights = Literal["equal", "coverage"]
LeftFill = Literal["zero", "edge", "mean", "pad"]
BetweenWindows = Literal["hold", "linear"]
BrainLMDtype = Literal["float32", "bfloat16", "float16"]

_CHOICES = {
    "pooling": get_args(BrainLMPooling),
    "row_weights": get_args(RowWeights),
    "fill": get_args(LeftFill),
    "between": get_args(BetweenWindows),
    "dtype": get_args(BrainLMDtype),
}
_WITH_COLUMNS = ("last_columns", "cls+last")


@dataclass(frozen=True)
class BrainLMSettings:
    """From parcel series to one vector per TR.

    The vector of row t comes from a window of 200 samples that ends at the centre of row t:
    sample k lies at ``t - (199 - k) * target_tr`` seconds. Nothing after t enters.

    Parameters
    ----------
    layer : int or "final"
        "final" is the encoder's last layer norm; k, from 0 (embeddings) to the number of
        blocks, is the state after k blocks, before that norm.
    pooling : {"last_columns", "cls", "cls+last", "mean_all_data"}
        Mean over the tokens of the last columns that hold samples; the class token; the class
        token beside the mean of the last columns (twice the width); or the mean over all
        tokens that hold data.
    columns : int
        How many last columns, 1 to 3. One column of vitmae_650M is 14 samples; the last has 9.
    row_weights : {"equal", "coverage"}
        Whether rows of patches count alike in these means, or by how many of their parcels the
        subject has (cerebellum and subcortex are missing where responses are cortical).
    target_tr : float, optional
        Seconds between the samples of a window, reached by linear interpolation between rows.
        0.735 is the repetition time of the pretraining data; None takes the rows as they are.
    input_gain : float
        Factor on ``(x - median) / (IQR + 1e-6) / 5.6430855``, the scale of the pretraining
        (median and IQR per parcel, over the training stories of this subject).
    fill : {"zero", "edge", "mean", "pad"}
        What stands before a story's first row: 0 (the parcels' medians), that row, the
        parcels' means over the training stories, or -1 as in the margins.
    drop_pad_tokens : bool
        Leave out tokens that hold margins alone. Faster; the model never saw such input whole.
    hop : int
        Rows from one window to the next.
    between : {"hold", "linear"}
        Rows between windows get the vector of the last window, or are interpolated linearly
        between two windows, which looks up to ``hop - 1`` rows ahead.
    dtype : {"float32", "bfloat16", "float16"}
        Precision of products; sums along the residual path and averages are float32. float16
        is refused on a CPU.
    shift : bool
        Move the vectors of each story circularly, as `shift_in_time` does: a control whose
        rows have lost their words.
    min_shift : int
        As `BrainSettings.min_shift`.

    Raises
    ------
    InputError
        For a value outside these sets, or one without effect beside the others.
    """

    layer: int | Literal["final"] = "final"
    pooling: BrainLMPooling = "last_columns"
    columns: int = 1
    row_weights: RowWeights = "equal"
    target_tr: float | None = 0.735
    input_gain: float = 1.0
    fill: LeftFill = "zero"
    drop_pad_tokens: bool = False
    hop: int = 1
    between: BetweenWindows = "hold"
    dtype: BrainLMDtype = "float32"
    shift: bool = False
    min_shift: int = 40

    def __post_init__(self) -> None:
        settle_types(self, where="BrainLM settings")
        for name, options in _CHOICES.items():
            if getattr(self, name) not in options:
                raise unknown_name("BrainLM settings", name, str(getattr(self, name)), options)
        if self.layer != "final" and not _whole(self.layer, least=0):
            raise _bad("layer", self.layer, "'final', or a number of blocks from 0")
        if not _whole(self.columns, least=1) or self.columns > 3:
            raise _bad("columns", self.columns, "1, 2 or 3")
        if not _whole(self.hop, least=1):
            raise _bad("hop", self.hop, "a whole number of rows, 1 or more")
        if not _positive(self.input_gain):
            raise _bad("input_gain", self.input_gain, "a finite number above 0")
        if self.target_tr is not None and not _positive(self.target_tr):
            raise _bad("target_tr", self.target_tr, "seconds above 0, or None for the rows' own")
        if not _whole(self.min_shift, least=1):
            raise _bad("min_shift", self.min_shift, "a whole number of rows, 1 or more")
        self._check_effect()

    def _check_effect(self) -> None:
        if self.columns != 1 and self.pooling not in _WITH_COLUMNS:
            raise _bad("columns", f"{self.columns} with pooling={self.pooling!r}", "1 there")
        if self.row_weights != "equal" and self.pooling == "cls":
            raise _bad("row_weights", f"{self.row_weights!r} with pooling='cls'", "'equal' there")
        if self.between != "hold" and self.hop == 1:
            raise _bad("between", f"{self.between!r} with a window at every row", "'hold' there")

    @property
    def rows_ahead(self) -> int:
        """Rows after t that the vector of row t may depend on."""
        return self.hop - 1 if self.between == "linear" else 0

    def width(self, config: BrainLMConfig) -> int:
        """Numbers per TR that a model of this geometry gives."""
        return config.hidden_size * (2 if self.pooling == "cls+last" else 1)

    def block(self, config: BrainLMConfig) -> int | None:
        """Blocks to run; None for all, with the last layer norm.

        Raises
        ------
        InputError
            If the model has fewer blocks.
        """
        if self.layer == "final":
            return None
        if self.layer > config.num_hidden_layers:
            wanted = f"'final', or 0 to {config.num_hidden_layers} for this model"
            raise _bad("layer", self.layer, wanted)
        return self.layer


def _whole(value: object, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _bad(name: str, got: object, wanted: str) -> InputError:
    return InputError(
        f"BrainLM settings: {name}", got=f"{got}", wanted=wanted, do="Correct this value."
    )
