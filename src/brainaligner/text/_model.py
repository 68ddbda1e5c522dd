"""Frozen language models and what is known about them before they are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from brainaligner.core import InputError
from brainaligner.text._device import DTYPES, checked_device
from brainaligner.text._drawing import draw_module
from brainaligner.text._folder import (
    architecture_files,
    checkpoint_files,
    complete_folder,
    files_digest,
    model_folder,
)

# Their position embeddings start at pad_token_id + 1, so that many places are never used.
_POSITIONS_AFTER_PAD = (
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
_NO_POSITION_LIMIT = 1_000_000


@dataclass(frozen=True)
class ModelInfo:
    """What a model's config.json says.

    Parameters
    ----------
    name : str
        As the user gave it.
    folder : Path
        Where its files are (for a hub model: its snapshot in the local cache).
    n_layers, width : int
        Transformer layers, and numbers per token.
    max_tokens : int
        Longest input, special tokens counted.
    kind : {"encoder", "causal"}
        Whether a token sees both sides or only what came before it.
    """

    name: str
    folder: Path
    n_layers: int
    width: int
    max_tokens: int
    kind: Literal["encoder", "causal"]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content of config, weights and tokenizer; names do not enter.

        Reads (for a hub model: fetches) all these files, hence only on demand.
        """
        return files_digest(checkpoint_files(complete_folder(self.name, self.folder)))

    @cached_property
    def architecture_digest(self) -> str:
        """SHA-256 of config and tokenizer: all that an untrained network of this kind has.

        Trained weights do not enter.
        """
        return files_digest(architecture_files(complete_folder(self.name, self.folder)))


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A language model that is ready to read text.

    Parameters
    ----------
    info : ModelInfo
    tokenizer : transformers.PreTrainedTokenizerFast
    module : torch.nn.Module
        The base model (no language-model head), in evaluation mode.
    device : torch.device
    """

    info: ModelInfo
    tokenizer: Any
    module: torch.nn.Module
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.module.parameters()).dtype


def model_info(name: str) -> ModelInfo:
    """Describe a model from its config.json; no weights are read.

    Parameters
    ----------
    name : str
        ``"embedded"`` (all-MiniLM-L6-v2, carried by a package), a local folder, or a name on
        the Hugging Face hub.

    Raises
    ------
    InputError
        If there is no such model, or it is not an encoder or a causal language model.
    """
    from transformers import AutoConfig

    folder = model_folder(name)
    if not (folder / "config.json").exists():
        raise unreadable(folder, "no config.json")
    # Field checks raise classes that differ between transformers' versions.
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        raise unreadable(folder, f"a config.json that is refused ({_first_line(error)})") from error
    if config.is_encoder_decoder or not hasattr(config, "num_hidden_layers"):
        raise InputError(
            f"model {name!r}",
            got=f"model type {config.model_type!r}",
            wanted="an encoder or a causal language model",
            do="Choose a model such as BERT, RoBERTa, GPT-2 or Llama.",
        )
    return ModelInfo(
        name=name,
        folder=folder,
        n_layers=int(config.num_hidden_layers),
        width=int(config.hidden_size),
        max_tokens=_max_tokens(config, folder),
        kind=_kind(config),
    )


def load_language_model(
    name: str, *, device: str = "cpu", dtype: str = "float32", untrained: int | None = None
) -> LanguageModel:
    """Load a model and its tokenizer for reading, without its language-model head.

    Nothing in the checkpoint is executed: remote code is never trusted, and a ``.bin`` file
    (read only where there is no safetensors file) is opened with ``weights_only``.

    Parameters
    ----------
    name : str
        As in `model_info`.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    dtype : {"float32", "bfloat16", "float16"}
        float16 is refused on a CPU.
    untrained : int, optional
        Seed with which the model's own initialiser draws all weights: a network of the same
        architecture that has learned nothing. Where nothing is said, the weights are the
        checkpoint's.

    Raises
    ------
    InputError
        If a file is missing or damaged, weights are missing from the checkpoint, there is no
        fast tokenizer, or the device is not there.
    """
    place = checked_device(device, dtype)
    info = model_info(name)
    folder = complete_folder(name, info.folder)
    checkpoint_files(folder)
    with quiet_transformers():
        tokenizer = load_tokenizer(folder)
        if untrained is None:
            module = _load_module(folder, DTYPES[dtype]).to(place)
        else:
            module = draw_module(folder, DTYPES[dtype], untrained).to(place)
    check_vocabulary(folder, tokenizer, module)
    return LanguageModel(info, tokenizer, module.eval().requires_grad_(False), place)


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    # tokenizers raises bare Exception for a damaged tokenizer.json.
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, use_fast=True, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise unreadable(folder, f"a tokenizer that fails ({_first_line(error)})") from error
    if not tokenizer.is_fast:
        raise unreadable(folder, "no fast tokenizer, so tokens cannot be tied to words")
    return tokenizer


def check_vocabulary(folder: Path, tokenizer: Any, module: Any) -> None:
    """Refuse a tokenizer whose ids go beyond the model's embeddings."""
    n_embeddings = module.get_input_embeddings().num_embeddings
    if len(tokenizer) > n_embeddings:
        raise unreadable(
            folder, f"a tokenizer of {len(tokenizer)} tokens for {n_embeddings} embeddings"
        )


def _load_module(folder: Path, dtype: torch.dtype) -> Any:
    module, missing = read_weights("AutoModel", folder, dtype)
    # A pooler sits above the last hidden state; whatever else is missing would stay random.
    missing = [key for key in missing if not key.startswith("pooler.")]
    if missing:
        raise unreadable(folder, f"no weights for {missing[0]} ({len(missing)} missing in all)")
    return module


def read_weights(auto: str, folder: Path, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """Load a checkpoint into a class of transformers; also which weights it does not hold."""
    from pickle import UnpicklingError

    import transformers
    from safetensors import SafetensorError

    try:
        module, report = getattr(transformers, auto).from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError, SafetensorError) as error:
        raise unreadable(folder, f"weights that fail ({_first_line(error)})") from error
    return module, sorted(report["missing_keys"])


def _max_tokens(config: Any, folder: Path) -> int:
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 1:
        return _NO_POSITION_LIMIT
    if config.model_type not in _POSITIONS_AFTER_PAD:
        return int(positions)
    if config.pad_token_id is None:
        raise unreadable(folder, "a config.json without pad_token_id, at which positions begin")
    return int(positions) - config.pad_token_id - 1


def _kind(config: Any) -> Literal["encoder", "causal"]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    both_sides = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "encoder" if both_sides and not getattr(config, "is_decoder", False) else "causal"


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' own bars and warnings off the screen; its settings are put back."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


def unreadable(folder: Path, got: str) -> InputError:
    return InputError(
        f"model folder {folder}",
        got=got,
        wanted="a checkpoint with config.json, all weights and a fast tokenizer",
        do="Save or download the whole checkpoint again.",
    )
