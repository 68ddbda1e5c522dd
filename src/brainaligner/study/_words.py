"""Settings in words, for the page and the table."""

from __future__ import annotations

from collections.abc import Mapping

from brainaligner.core import Split, ValidationSplit, WithinStorySplit
from brainaligner.encoding import ReducedRankSettings
from brainaligner.study._arm_config import ArmConfig, FeatureConfig
from brainaligner.study._dataset_config import SplitConfig
from brainaligner.text import ModelInfo, TextSettings


def model_words(info: ModelInfo) -> str:
    """A language model in words, with the start of its content's digest."""
    return f"{info.n_layers} layers of width {info.width}, content {info.digest[:12]}"


def context_words(text: TextSettings) -> str:
    """Left context in words; none where there is none."""
    begins = " from row 0 on" if text.context_from == "first_row" else ""
    for amount, unit in (
        (text.context_rows, "TRs"),
        (text.context_seconds, "s"),
        (text.context_words, "words"),
    ):
        if amount:
            return f"{amount:g} {unit} of left context{begins}"
    return ""


def feature_words(name: str, feature: FeatureConfig) -> str:
    """One feature space in words."""
    text = feature.text
    context = context_words(text)
    context = f"{context}, at most {text.max_tokens} tokens" if context else "one-TR text"
    layer = "last layer" if text.layer == -1 else f"layer {text.layer}"
    pooled = "the TR's own tokens" if text.pooling == "own" else "all tokens"
    way = "Lanczos-resampled word states" if text.resample == "lanczos" else f"mean of {pooled}"
    drawn = "" if feature.seed is None else f" untrained (weights drawn, seed {feature.seed})"
    return (
        f"{name}: {feature.model}{drawn}, {layer}, {context}, {way}, special tokens "
        f"{text.special_tokens}"
    )


def split_words(splits: Mapping[str, Split | WithinStorySplit], config: SplitConfig) -> str:
    """The division of stories in words."""
    first = next(iter(splits.values()))
    if isinstance(first, WithinStorySplit):
        return (
            f"{first.label}: {first.story}, {first.n_folds} contiguous parts tested in turn, "
            f"{first.gap} rows dropped at each border"
        )
    how = f"drawn with seed {config.seed}"
    if config.named or config.file:
        how = f"named in {config.file}" if config.file else "named in the study"
    if isinstance(first, ValidationSplit):
        return f"{len(first.train)} train, {len(first.test)} validation, {how}; {first.label}"
    return (
        f"{len(first.train)} train, {len(first.validation)} validation, {len(first.test)} test, "
        f"{len(first.test_repeated)} repeated test stories, {how}; {first.label}"
    )


def ridge_words(arm: ArmConfig) -> str:
    """How alpha is chosen, in words; the convention with it."""
    settings = arm.banded or arm.ridge
    where = "validation stories" if settings.selection == "validation" else "leave-one-story-out"
    scaling = [f"features scaled within {arm.design.scaling}"] * (arm.design.scaling != "none")
    if arm.banded is None and arm.ridge.scaling == "training":
        scaling.append("features scaled by the training rows")
    intercept = "with intercept" if settings.intercept else "no intercept"
    made = ", ".join(["penalty alpha ||W||^2", *(scaling or ["features unscaled"]), intercept])
    if arm.banded is not None:
        return f"banded ridge, one penalty for each band and target, chosen by r on {where}, {made}"
    ridge = arm.ridge
    shared = "one alpha for all targets" if ridge.alpha == "shared" else "one alpha for each target"
    chosen = f" by mean r on {where}" if len(ridge.alphas) > 1 else ""
    how = f"{shared}{chosen}, {made}"
    if arm.reduced_rank is None:
        return how
    words = _reduced_words(arm.reduced_rank, where)
    return words if arm.reduced_rank.form == "one-stage" else f"{words}; {how}"


def _reduced_words(settings: ReducedRankSettings, where: str) -> str:
    """A reduced-rank regression in words."""
    ranks = ", ".join(map(str, settings.rank))
    alphas = ", ".join(f"{alpha:g}" for alpha in settings.alpha)
    chosen = f", chosen by mean r on {where}" if settings.n_choices > 1 else ""
    fitted = (
        f"cross-fitted in {settings.cross_fit} folds of training stories"
        if settings.cross_fit
        else "fitted to all training stories"
    )
    last = (
        "then a ridge for each subject on it" if settings.form == "two-stage" else "no ridge after"
    )
    return (
        f"{settings.form} reduced-rank regression over all subjects' targets, {fitted}, rank "
        f"{ranks}, first alpha {alphas}{chosen}, {last}"
    )


def grid_words(arm: ArmConfig) -> str:
    """The alpha grid in words."""
    alphas = arm.banded.alphas if arm.banded is not None else arm.ridge.alphas
    return f"{alphas[0]:g} to {alphas[-1]:g} in {len(alphas)} steps"
