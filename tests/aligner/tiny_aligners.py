"""Tiny language models of the families that people use, and made-up stories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from brainaligner.aligner import AlignerMaterial, AlignerSettings
from brainaligner.text import RowText

WORDS = tuple(f"w{i}" for i in range(40))
SPECIAL = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
UNK, PAD, CLS, SEP, MASK = range(5)
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
FAMILIES = ("bert", "roberta", "distilbert", "modernbert")
CAUSAL = ("gpt2", "llama", "qwen2")
WIDTH = 5

FAST = AlignerSettings(
    mask_rate=0.3, batch=8, accumulation=2, learning_rate=1e-2, warmup_steps=2, epochs=2, seed=7
)


def _tokenizer(family: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    if family == "qwen2":  # transformers reads these as byte-level pairs whatever they say
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=["<|endoftext|>"],
            show_progress=False,
            initial_alphabet=letters,
        )
        tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if family in CAUSAL:
        if family == "llama":
            tokenizer.post_processor = processors.TemplateProcessing(
                single="[CLS] $A", special_tokens=[("[CLS]", CLS)]
            )
        named = {"unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    roles = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
    named = dict(zip(roles, SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def _model(family: str) -> Any:
    import transformers as hf

    torch.manual_seed(3)
    common = {"vocab_size": len(SPECIAL) + len(WORDS), "pad_token_id": PAD}
    long = {"intermediate_size": 24, "max_position_embeddings": 64}
    if family == "roberta":
        return hf.RobertaForMaskedLM(hf.RobertaConfig(**common, **SIZES, **long, type_vocab_size=1))
    if family == "distilbert":
        small = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24}
        return hf.DistilBertForMaskedLM(
            hf.DistilBertConfig(**common, **small, max_position_embeddings=64)
        )
    if family == "modernbert":
        return hf.ModernBertForMaskedLM(hf.ModernBertConfig(**common, **SIZES, **long))
    if family == "gpt2":
        small = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64}
        return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=common["vocab_size"], **small))
    if family == "llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**common, **SIZES, **long))
    if family == "qwen2":
        grouped = {"num_key_value_heads": 1, "tie_word_embeddings": True, "vocab_size": 330}
        return hf.Qwen2ForCausalLM(hf.Qwen2Config(**SIZES, **long, **grouped))
    config = hf.BertConfig(**common, **SIZES, **long)
    return hf.BertModel(config) if family == "headless" else hf.BertForMaskedLM(config)


def save_masked(family: str, folder: Path) -> Path:
    """Write a random checkpoint; "headless" is BERT without its head.

    Those of causal models have no mask token, and no padding.
    """
    model = _model(family)
    with torch.no_grad():  # initial weights of 0.02 would hide mistakes
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    _tokenizer(family).save_pretrained(folder)
    return folder


def tell(
    stories: tuple[str, ...], *, n_rows: int = 20, brain: bool = True, seed: int = 0, most: int = 7
) -> AlignerMaterial:
    """Stories of random words, up to `most` in a row, with random brain vectors."""
    rng = np.random.default_rng(seed)
    texts, vectors = {}, {}
    for story in stories:
        counts = rng.integers(0, most + 1, n_rows)
        rows = [tuple(WORDS[int(w) % 40] for w in rng.geometric(0.15, n)) for n in counts]
        texts[story] = [RowText((), row) for row in rows]
        vectors[story] = rng.standard_normal((n_rows, WIDTH)).astype(np.float32)
    return AlignerMaterial(texts, vectors if brain else None)
