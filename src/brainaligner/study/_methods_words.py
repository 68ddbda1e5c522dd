"""Settings as sentences of a methods section, and what they cite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from brainaligner.aligner import AlignerSettings, ObjectiveSettings
from brainaligner.brain import BrainSettings
from brainaligner.study._arm_config import ArmConfig
from brainaligner.study._words import context_words, grid_words, ridge_words
from brainaligner.text import DesignSettings, TextSettings

SOURCES = {
    "lebel2023": "fMRI of natural stories (OpenNeuro ds003020; LeBel et al., 2023), cortical "
    "voxels, each z-scored within its story; word times come from the TextGrids",
    "lebel2023-pcs": "fMRI of natural stories (OpenNeuro ds003020; LeBel et al., 2023) as "
    "principal components of each listener's cortical voxels",
    "alice2016": "fMRI of one audiobook chapter (Brennan et al., 2016) in regions of interest, "
    "detrended and z-scored",
}

REFERENCES = {
    "LeBel et al., 2023": "LeBel, A., et al. (2023). A natural language fMRI dataset for "
    "voxelwise encoding models. Scientific Data, 10, 555.",
    "Brennan et al., 2016": "Brennan, J. R., et al. (2016). Abstract linguistic structure "
    "correlates with temporal activity during naturalistic comprehension. Brain and Language, "
    "157-158, 81-94.",
    "Ortega Caro et al., 2024": "Ortega Caro, J., et al. (2024). BrainLM: a foundation model for "
    "brain activity recordings. ICLR.",
    "Benjamini and Hochberg (1995)": "Benjamini, Y., & Hochberg, Y. (1995). Controlling the false "
    "discovery rate. Journal of the Royal Statistical Society B, 57, 289-300.",
    "Devlin et al., 2019": "Devlin, J., et al. (2019). BERT: pre-training of deep bidirectional "
    "transformers for language understanding. NAACL.",
    "Loshchilov and Hutter, 2019": "Loshchilov, I., & Hutter, F. (2019). Decoupled weight decay "
    "regularization. ICLR.",
    "Izenman, 1975": "Izenman, A. J. (1975). Reduced-rank regression for the multivariate linear "
    "model. Journal of Multivariate Analysis, 5, 248-264.",
    "Hu et al., 2022": "Hu, E. J., et al. (2022). LoRA: low-rank adaptation of large language "
    "models. ICLR.",
}
"""By the words of the text that cite them."""


ALPHAS_NAMED = 8
_LORA = " by low-rank updates (Hu et al., 2022)"
Z = "the nuisance block Z (onset kernels, word rate and place in the story)"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def text_words(text: TextSettings) -> str:
    """How states of a language model become rows."""
    clock = "its own TR" if text.clock == "own" else "the TR before"
    context = context_words(text) or "no left context"
    layer = "the last layer" if text.layer == -1 else f"layer {text.layer}"
    tokens = "the row's own words" if text.pooling == "own" else "the whole text"
    way = f"mean of the output states of {layer} over the tokens of {tokens}"
    if text.resample == "lanczos":
        way = f"output states of {layer} for each word, resampled by a Lanczos filter"
    return (
        f"a row gets the words of {clock}, {context}, at most {text.max_tokens} tokens; {way} "
        f"(special tokens {text.special_tokens}, rows without words {text.empty}, {text.dtype})"
    )


def encoder_words(settings: BrainSettings, plain: tuple[str, DesignSettings] | None) -> str:
    """What an encoder of voxels or components gives."""
    best = "all targets"
    if settings.k is not None:
        best = f"the {settings.k:,} targets (of fewer, the share {settings.share:g})"
    scale = {
        "training": "z-scored by the statistics of the aligner's training stories",
        "story": "z-scored within each story",
        "none": "as they are",
    }[settings.standardise]
    words = {
        "high_ev": f"{best} of highest explainable variance over the "
        f"presentations of the repeated story, {scale}",
        "encoding_selection": f"{best} that a ridge predicts best, "
        f"{_selection(settings, plain)}, {scale}",
        "split_half_reliability": f"{best} that a ridge predicts most reliably in halves of the "
        f"training stories, {scale}",
        "all": f"all targets, {scale}",
        "pca": f"the first {settings.width} principal components, {scale}",
        "random_projection": f"a random projection to {settings.width} numbers, {scale}",
        "noise": f"Gaussian noise of width {settings.width} (a control)",
        "constant": "a constant (a control)",
    }.get(settings.kind, f"the encoder {settings.kind!r}, {scale}")
    moved = " Vectors were moved circularly in time, each story by its own random lag (a control)."
    return f"{words}.{moved * settings.shift}"


def _selection(settings: BrainSettings, plain: tuple[str, DesignSettings] | None) -> str:
    read = (
        ""
        if plain is None
        else f" from the features {plain[0]!r} at delays {listed(_str(plain[1].delays))}"
    )
    return (
        f"cross-validated over {settings.n_folds} folds inside the aligner's training "
        f"stories{read}, "
        f"and that are significant by block permutation ({settings.n_permutations} permutations; "
        f"Benjamini and Hochberg (1995) at {settings.fdr:g})"
    )


def aligner_words(settings: AlignerSettings, *, width: int | None) -> str:
    """The published masked language modelling, beside brain vectors or on text alone.

    `width` is the model's, to which brain vectors are brought; None where there are none.
    """
    return " ".join(_aligner_sentences(settings, width))


def _aligner_sentences(settings: AlignerSettings, width: int | None) -> Iterator[str]:
    rest = 1.0 - settings.masked_share - settings.random_share
    if width is not None:
        learned = "a learned" if settings.train_projection else "a drawn, fixed"
        yield (
            f"Brain vectors of the TRs {listed(_str(settings.brain_rows, sign=True))} (counted "
            f"from the text's), brought to the model's width ({width:,} numbers) by {learned} "
            "linear layer, stand "
            f"{settings.brain_place} the text as input embeddings (segment "
            f"{settings.brain_segment}, positions {settings.brain_positions.replace('_', ' ')})."
        )
    yield (
        "Masked language modelling (Devlin et al., 2019): "
        f"{100 * settings.mask_rate:g} % of the text's tokens were selected, "
        f"{100 * settings.masked_share:g} % of them masked, "
        f"{100 * settings.random_share:g} % replaced by tokens drawn from the vocabulary, "
        f"{100 * rest:.3g} % left; the loss is that of selected tokens alone."
    )
    layers = settings.trained_layers
    which = "All layers were" if layers == "all" else f"The top {layers} layers were"
    head = "with the masked-LM head" if settings.train_head else "and not the head"
    yield (
        f"{which} trained{_LORA * (settings.lora is not None)}, {head}; all below stayed frozen."
    )
    yield _optimiser(settings) + (
        f" at most {settings.max_tokens} tokens, batches of {settings.batch} accumulated "
        f"{settings.accumulation} times, {_stop(settings)}."
    )
    yield "At evaluation only text goes in."


def objective_words(settings: ObjectiveSettings) -> str:
    """Losses that predict the brain, and others."""
    return " ".join(_objective_sentences(settings))


def _objective_sentences(settings: ObjectiveSettings) -> Iterator[str]:
    losses = listed([_loss(name, loss) for name, loss in settings.losses.items()])
    heads, read = settings.heads, listed(_str(settings.read_layers))
    yield f"Losses: {losses}, on stretches of {settings.stretch} consecutive TRs."
    if settings.reads_brains:
        target = "responses"
        if settings.nuisance == "residual":
            target = "what a regression on Z leaves of the responses"
        yield (
            f"The pooled states of layer {read} at delays {listed(_str(heads.delays))} predict "
            f"{target} through {heads.rank} shared dimensions and one map per subject "
            f"({heads.kind.replace('_', '-')} heads that start as reduced-rank regression; "
            "Izenman, 1975)."
        )
    layers = settings.trained_layers
    which = (
        "All layers up to the highest one that is read were"
        if layers == "all"
        else f"Layer {read} and those right below it, {layers} in all, were"
    )
    yield f"{which} trained{_LORA * (settings.lora is not None)}; all else stayed frozen."
    stop = "" if settings.patience is None else (
        f", stopped after {settings.patience} evaluations without a lower validation loss"
    )  # fmt: skip
    yield _optimiser(settings) + (
        f" batches of {settings.stretches} stretches accumulated {settings.accumulation} times, "
        f"{settings.epochs} epochs at most{stop}; of {settings.evaluations} evaluations in an "
        "epoch the weights of the lowest validation loss were kept."
    )


def _loss(name: str, loss: Any) -> str:
    """A loss with its weight, and what else it has."""
    more = [f"weight {loss.weight:g}"]
    if name == "predict":
        more.append(f"by {loss.loss.replace('_', ' ')}")
        more += [f"targets weighted by reliability ** {loss.reliability:g}"] * bool(
            loss.reliability
        )
    if getattr(loss, "share", 1.0) != 1.0:
        more.append(f"on {100 * loss.share:g} % of the texts")
    return f"{name.replace('_', ' ')} ({', '.join(more)})"


def _optimiser(settings: AlignerSettings | ObjectiveSettings) -> str:
    steps = getattr(settings, "warmup_steps", None)
    warm = f"{steps:,} warm-up steps" if steps is not None else (
        f"warm-up over {100 * (settings.warmup_share or 0.0):g} % of the steps"
    )  # fmt: skip
    clip = f"gradients clipped at {settings.clip:g}" if settings.clip else "no clipping"
    return (
        "AdamW (Loshchilov and Hutter, 2019) with betas "
        f"({settings.betas[0]:g}, {settings.betas[1]:g}), weight decay {settings.weight_decay:g}, "
        f"learning rate {settings.learning_rate:g} ({settings.schedule} schedule), {warm}, dropout "
        f"{settings.dropout:g}, {clip}, products in {settings.precision},"
    )


def _stop(settings: AlignerSettings) -> str:
    most = f"at most {settings.epochs} epochs"
    if settings.patience is None:
        return f"{most}, the epoch of the lowest validation loss kept"
    return f"{most}, stopped after {settings.patience} without a lower validation loss"


def readout_words(arm: ArmConfig) -> str:
    """How responses are predicted."""
    design = arm.design
    block = {"none": "without the nuisance block", "with": f"with {Z} beside them",
             "alone": f"from {Z} alone"}[design.nuisance]  # fmt: skip
    length = ", word length in it" * design.word_length
    rank = arm.reduced_rank
    grid = "" if rank is not None and rank.form == "one-stage" else f" (alpha: {_grid(arm)})"
    plain = "" if rank is not None or arm.banded is not None else "ridge regression with "
    return (
        f"at delays {listed(_str(design.delays))} TRs, {block}{length}: {plain}{ridge_words(arm)}"
        f"{grid}; "
        "each target has its own weights."
    )


def _grid(arm: ArmConfig) -> str:
    """Each alpha where they are few."""
    alphas = (arm.banded or arm.ridge).alphas
    if len(alphas) > ALPHAS_NAMED:
        return grid_words(arm)
    return f"one of {', '.join(f'{alpha:g}' for alpha in alphas)}"


def _str(values: Sequence[int], *, sign: bool = False) -> list[str]:
    return [f"{value:+d}" if sign and value else str(value) for value in values]
