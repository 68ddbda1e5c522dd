"""Where brain vectors stand, which rows they are of, and what a batch leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_aligners import CLS, FAST, PAD, SEP, WIDTH, tell

from brainaligner.aligner import AlignerMaterial, AlignerSettings, BrainAligner
from brainaligner.aligner._examples import read_examples
from brainaligner.aligner._layout import Batch
from brainaligner.core import InputError
from brainaligner.text import RowText

Aligners = Callable[..., BrainAligner]
TEXTS = {"a": [RowText((), words) for words in (("w1",), ("w2", "w3"), (), ("w4", "w5", "w6"))]}
BRAIN = {"a": np.arange(4 * WIDTH, dtype=np.float32).reshape(4, WIDTH) + 1}
ALL = replace(FAST, mask_rate=1.0, masked_share=0.0, random_share=0.0)


def _batch(aligner: BrainAligner, settings: AlignerSettings, *, brain: bool = True) -> Batch:
    material = AlignerMaterial(TEXTS, BRAIN if brain else None)
    examples = read_examples(aligner, material, settings=settings)
    return examples.batch(range(len(examples.lengths)), 0)


def test_text_alone_is_special_tokens_and_text(tiny: Aligners) -> None:
    inputs = _batch(tiny(), ALL, brain=False)
    assert set(inputs) == {"input_ids", "attention_mask", "selected", "labels"}
    w = [5 + i for i in range(7)]
    assert inputs["input_ids"].tolist() == [
        [CLS, w[1], SEP, PAD, PAD],
        [CLS, w[2], w[3], SEP, PAD],
        [CLS, w[4], w[5], w[6], SEP],
    ]
    assert inputs["selected"].tolist() == [1, 6, 7, 11, 12, 13]
    assert inputs["labels"].tolist() == w[1:]


@pytest.mark.parametrize(("place", "start"), [("before", [1, 1, 1]), ("after", [2, 3, 4])])
def test_brain_vectors_stand_on_their_side_of_the_text(
    tiny: Aligners, place: str, start: list[int]
) -> None:
    inputs = _batch(tiny(), replace(ALL, brain_place=place, brain_rows=(1, 2)))
    width = inputs["input_ids"].shape[1]
    assert width == 7
    assert inputs["brain_at"].tolist() == [
        n * 7 + s + k for n, s in enumerate(start) for k in (0, 1)
    ]
    read = inputs["input_ids"].flatten()[inputs["selected"]]
    assert read.tolist() == inputs["labels"].tolist()
    ends = inputs["attention_mask"].sum(1) - 1
    assert inputs["input_ids"][torch.arange(3), ends].tolist() == [SEP] * 3


def test_brain_rows_are_counted_from_the_texts_and_end_with_the_story(tiny: Aligners) -> None:
    inputs = _batch(tiny(), replace(ALL, brain_rows=(-1, 0, 1, 2)))
    rows = np.concatenate([np.zeros((1, WIDTH)), BRAIN["a"], np.zeros((2, WIDTH))])
    wanted = [rows[1 + t + offset] for t in (0, 1, 3) for offset in (-1, 0, 1, 2)]
    assert np.array_equal(inputs["brain"].numpy(), np.stack(wanted).astype(np.float32))


def test_segment_of_brain_positions(tiny: Aligners) -> None:
    inputs = _batch(tiny(), replace(ALL, brain_segment=1))
    assert (
        inputs["token_type_ids"].flatten().nonzero().flatten().tolist()
        == inputs["brain_at"].tolist()
    )
    assert "token_type_ids" not in _batch(tiny(), ALL)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_kept_text_positions_are_those_without_brain(
    tiny: Aligners, family: str, place: str
) -> None:
    settings = replace(ALL, brain_place=place, brain_positions="text_kept", brain_rows=(0, 1))
    inputs = _batch(tiny(family), settings)
    first = 2 if family == "roberta" else 0  # RoBERTa counts from its padding id + 1
    at = set(inputs["brain_at"].tolist())
    width = inputs["input_ids"].shape[1]
    for n, length in enumerate((1, 2, 3)):
        ids = inputs["position_ids"][n].tolist()
        real = range(length + 4)
        text = [ids[t] - first for t in real if n * width + t not in at]
        brain = [ids[t] - first for t in real if n * width + t in at]
        assert text == list(range(length + 2))
        assert brain == [length + 2, length + 3]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_text_with_kept_positions_and_no_word_from_the_brain_reads_as_text_alone(
    tiny: Aligners, family: str
) -> None:
    """A brain position that nobody attends to leaves text states as they are."""
    aligner = tiny(family)
    settings = replace(ALL, brain_positions="text_kept")
    with_brain, alone = _batch(aligner, settings), _batch(aligner, ALL, brain=False)
    mask = with_brain["attention_mask"].flatten().clone()
    mask[with_brain["brain_at"]] = 0
    with_brain["attention_mask"] = mask.view_as(with_brain["attention_mask"])
    with_brain.pop("labels"), alone.pop("labels")
    assert torch.allclose(aligner(**with_brain), aligner(**alone), atol=1e-5)


def test_texts_without_a_hidden_token_are_left_out_of_the_pass(tiny: Aligners) -> None:
    material = tell(("a",), n_rows=60)
    examples = read_examples(tiny(), material, settings=replace(FAST, mask_rate=0.05))
    every = list(range(len(examples.lengths)))
    inputs = examples.batch(every, 0)
    hidden = [i for i in every if examples.masked(i, 0)[1].any()]
    assert 0 < len(inputs["input_ids"]) == len(hidden) < len(every)
    none = [i for i in every if i not in hidden]
    quiet = examples.batch(none, 0)
    assert len(quiet["labels"]) == 0
    assert len(quiet["input_ids"]) == 1


def test_long_texts_lose_their_left_side_with_and_without_brain(tiny: Aligners) -> None:
    texts = {"a": [RowText(tuple(f"w{i}" for i in range(20)), ("w30",))]}
    settings = replace(ALL, max_tokens=10, brain_rows=(0, 1))
    for brain in (None, {"a": np.zeros((1, WIDTH), np.float32)}):
        examples = read_examples(tiny(), AlignerMaterial(texts, brain), settings=settings)
        assert examples.examples[0].ids.tolist() == [5 + i for i in (15, 16, 17, 18, 19, 30)]


@pytest.mark.parametrize(
    ("family", "bad"),
    [
        ("roberta", {"brain_segment": 1}),
        ("distilbert", {"brain_segment": 1}),
        ("bert", {"max_tokens": 5, "brain_rows": (0, 1, 2)}),
    ],
)
def test_settings_that_the_model_cannot_follow_are_refused(
    tiny: Aligners, family: str, bad: dict[str, object]
) -> None:
    with pytest.raises(InputError, match="aligner settings"):
        _batch(tiny(family), replace(ALL, **bad))


def test_vectors_of_another_width_are_refused(tiny: Aligners) -> None:
    wide = AlignerMaterial(TEXTS, {"a": np.zeros((4, WIDTH + 1), np.float32)})
    with pytest.raises(InputError, match=f"width {WIDTH}"):
        read_examples(tiny(), wide, settings=ALL)
