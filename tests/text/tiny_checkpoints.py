"""Tiny random checkpoints of the families that people use, and words to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from brainaligner.core import Transcript

SPOKEN = (
    "so i was walking down the street and the unbelievable thing happened again because my "
    "grandmother's parrot had learned to sing don't you know the whole neighbourhood came out "
    "to listen and i thought well that is that then it started raining"
)
WORDS = SPOKEN.split()

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
SPECIAL = {
    "bert": (["[CLS]"], ["[SEP]"]),
    "modernbert": (["[CLS]"], ["[SEP]"]),
    "roberta": (["<s>"], ["</s>"]),
    "gpt2": ([], []),
    "llama": (["<s>"], []),
    "qwen2": ([], []),
}


def _wordpiece() -> tuple[Tokenizer, dict[str, str]]:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(set(SPOKEN) - {" "})
    pieces = [*names, *letters, *("##" + letter for letter in letters), *sorted(set(WORDS))[::2]]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(roles, names, strict=True))


def _byte_level(family: str) -> tuple[Tokenizer, dict[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["<s>", "<pad>", "</s>", "<mask>"] if family == "roberta" else ["<|endoftext|>"]
    tokenizer.train_from_iterator(
        [SPOKEN],
        trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=names,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    if family in ("gpt2", "qwen2"):
        return tokenizer, {"eos_token": names[0]}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    roles = ("bos_token", "pad_token", "eos_token", "mask_token")
    return tokenizer, dict(zip(roles, names, strict=True))


def _metaspace() -> tuple[Tokenizer, dict[str, str]]:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(
        [SPOKEN],
        trainers.BpeTrainer(vocab_size=90, special_tokens=names, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return tokenizer, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def _random_model(family: str, vocabulary: int) -> Any:
    import transformers as hf

    torch.manual_seed(3)
    common = {"vocab_size": vocabulary, **SIZES}
    if family == "gpt2":
        return hf.GPT2Model(
            hf.GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=3, n_head=2, n_positions=96)
        )
    if family == "llama":
        config = hf.LlamaConfig(**common, intermediate_size=24, max_position_embeddings=96)
        return hf.LlamaForCausalLM(config)
    if family == "qwen2":
        config = hf.Qwen2Config(
            **common,
            intermediate_size=24,
            num_key_value_heads=1,
            max_position_embeddings=96,
            tie_word_embeddings=True,
        )
        return hf.Qwen2ForCausalLM(config)
    if family == "roberta":
        config = hf.RobertaConfig(**common, intermediate_size=24, max_position_embeddings=98)
        return hf.RobertaForMaskedLM(config)
    if family == "modernbert":
        config = hf.ModernBertConfig(
            **common, intermediate_size=24, max_position_embeddings=96, pad_token_id=0
        )
        return hf.ModernBertModel(config)
    return hf.BertModel(hf.BertConfig(**common, intermediate_size=24, max_position_embeddings=96))


def save_checkpoint(family: str, folder: Path) -> Path:
    """Write a random model of a family with a tokenizer trained on a few words."""
    from transformers import PreTrainedTokenizerFast

    if family == "llama":
        tokenizer, roles = _metaspace()
    elif family in ("gpt2", "roberta", "qwen2"):
        tokenizer, roles = _byte_level(family)
    else:
        tokenizer, roles = _wordpiece()
    model = _random_model(family, tokenizer.get_vocab_size())
    with torch.no_grad():  # initial weights of 0.02 would hide mistakes
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    return folder


def speak(words: tuple[str, ...] | list[str], *, seed: int = 0, start: float = 8.0) -> Transcript:
    """Words at a speaking rate of about two a second, with a silence of 7 s in the middle."""
    rng = np.random.default_rng(seed)
    onsets = start + np.cumsum(rng.uniform(0.2, 0.9, len(words)))
    onsets[len(words) // 2 :] += 7.0
    return Transcript("tale", tuple(words), onsets, onsets + 0.15)
