"""Vectors against a plain loop over rows; nothing after a row reaches its vector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brainlm_parts import (
    SMALL,
    TINY,
    MadeRecording,
    coordinates,
    material,
    save_random,
    series,
)

from brainaligner.brain import (
    BRAINLM_GEOMETRIES,
    BrainLM,
    BrainLMSettings,
    BrainVectors,
    encode_brainlm,
    load_brainlm,
    shift_in_time,
)
from brainaligner.brain._brainlm_encode import pool_weights
from brainaligner.brain._brainlm_windows import parcel_input, sample_places, windows
from brainaligner.core import InputError

LENGTHS = {"one": 90, "two": 31, "held": 23}
VALUES = series(LENGTHS)
PLACES = coordinates()
MISSING = [3, 77, 400]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> BrainLM:
    return load_brainlm(save_random(tmp_path_factory.mktemp("small"), SMALL))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> BrainLM:
    return load_brainlm(save_random(tmp_path_factory.mktemp("tiny"), TINY))


def encode(
    checkpoint: BrainLM, values: dict[str, np.ndarray] = VALUES, **changes: Any
) -> BrainVectors:
    names = ("batch_windows", "progress", "seed")
    running = {name: changes.pop(name) for name in names if name in changes}
    given = material(values, fitted_on=["one", "two"], missing=MISSING)
    settings = BrainLMSettings(**changes)
    return encode_brainlm(
        given, checkpoint=checkpoint, coordinates=PLACES, tr=2.0, settings=settings, **running
    )


def plain_vector(checkpoint: BrainLM, story: str, row: int, **changes: Any) -> np.ndarray:
    """One window through the encoder, pooled token by token."""
    chosen, config = BrainLMSettings(**changes), checkpoint.config
    given = parcel_input(material(VALUES, fitted_on=["one", "two"], missing=MISSING), PLACES)
    rows = given.story(story, chosen.input_gain)
    fill = given.before_start(chosen.fill, chosen.input_gain)
    window = windows(rows, np.array([row]), sample_places(2.0, chosen.target_tr), fill)
    with torch.no_grad():
        layer = None if chosen.layer == "final" else chosen.layer
        tokens = checkpoint.network.vit(torch.from_numpy(window), layer=layer)[0].numpy()
    present = ~given.missing[given.order]
    first, patches, share = tokens[0], [], []
    columns = config.data_columns
    used = columns if chosen.pooling == "mean_all_data" else columns[-chosen.columns :]
    for token in range(config.n_tokens):
        place, column = divmod(token, config.grid[1])
        if place in config.data_rows and column in used:
            patches.append(tokens[1 + token])
            share.append(sum(present[parcel] for parcel in config.row_parcels(place)))
    weights = share if chosen.row_weights == "coverage" else None
    mean = np.average(patches, axis=0, weights=weights)
    if chosen.pooling == "cls+last":
        return np.concatenate([first, mean])
    return first if chosen.pooling == "cls" else mean


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layer": 0},
        {"layer": 1, "columns": 3},
        {"layer": 2, "pooling": "cls"},
        {"pooling": "cls+last", "columns": 2},
        {"pooling": "mean_all_data"},
        {"row_weights": "coverage"},
        {"target_tr": None, "fill": "edge"},
        {"target_tr": 1.0, "fill": "mean", "input_gain": 3.0},
        {"fill": "pad"},
    ],
)
def test_vectors_are_those_of_a_plain_loop(small: BrainLM, changes: dict[str, Any]) -> None:
    vectors = encode(small, batch_windows=5, **changes)
    assert set(vectors.rows) == set(LENGTHS)
    assert vectors.width == BrainLMSettings(**changes).width(SMALL)
    for story, row in (("one", 0), ("one", 80), ("held", 22)):
        wanted = plain_vector(small, story, row, **changes)
        np.testing.assert_allclose(vectors.rows[story][row], wanted, rtol=1e-4, atol=1e-5)
    assert {story: len(rows) for story, rows in vectors.rows.items()} == LENGTHS


def test_batches_do_not_change_vectors(small: BrainLM) -> None:
    one, many = encode(small, batch_windows=1), encode(small, batch_windows=50)
    for story, rows in one.rows.items():
        np.testing.assert_allclose(rows, many.rows[story], atol=1e-5)


@pytest.mark.parametrize("pooling", ["last_columns", "cls", "mean_all_data"])
@pytest.mark.parametrize("hop", [1, 4])
def test_rows_after_t_do_not_move_a_byte_of_its_vector(
    small: BrainLM, pooling: str, hop: int
) -> None:
    before = encode(small, pooling=pooling, hop=hop).rows["held"]
    changed = {story: rows.copy() for story, rows in VALUES.items()}
    changed["held"][12:] = 50.0
    after = encode(small, changed, pooling=pooling, hop=hop).rows["held"]
    assert before[:12].tobytes() == after[:12].tobytes()
    assert not np.array_equal(before[12:], after[12:])


def test_a_story_that_is_not_for_training_leaves_the_others_alone(small: BrainLM) -> None:
    changed = VALUES | {"held": 9 * VALUES["held"]}
    before, after = encode(small), encode(small, changed)
    for story in ("one", "two"):
        assert before.rows[story].tobytes() == after.rows[story].tobytes()
    assert not np.array_equal(before.rows["held"], after.rows["held"])


def test_a_training_story_moves_the_scale_of_all(small: BrainLM) -> None:
    after = encode(small, VALUES | {"two": 9 * VALUES["two"]})
    assert not np.array_equal(encode(small).rows["held"], after.rows["held"])


def test_rows_between_windows_hold_the_last_or_are_interpolated(small: BrainLM) -> None:
    every = encode(small).rows["held"]
    held = encode(small, hop=4).rows["held"]
    line = encode(small, hop=4, between="linear")
    for row in range(23):
        last, after = row - row % 4, min(row - row % 4 + 4, 22)
        share = (row - last) / (after - last) if after > last else 0.0
        np.testing.assert_allclose(held[row], every[last], atol=1e-5)
        wanted = (1 - share) * every[last] + share * every[after]
        np.testing.assert_allclose(line.rows["held"][row], wanted, atol=1e-5)
    assert line.provenance.facts["rows ahead"] == 3
    assert encode(small, hop=4).provenance.facts["rows ahead"] == 0


def test_without_margin_tokens_only_data_enters(tiny: BrainLM) -> None:
    """The same as a loop that keeps the tokens with data; other vectors than with margins."""
    short = {story: rows[:9] for story, rows in VALUES.items()}
    got = encode(tiny, short, drop_pad_tokens=True).rows["held"]
    assert not np.allclose(got, encode(tiny, short).rows["held"], atol=1e-4)
    given = parcel_input(material(short, fitted_on=["one", "two"], missing=MISSING), PLACES)
    fill = given.before_start("zero", 1.0)
    window = windows(given.story("held", 1.0), np.array([8]), sample_places(2.0, 0.735), fill)
    with torch.no_grad():
        tokens = tiny.network.vit.embeddings(torch.from_numpy(window), None)
        kept = tokens[:, [0, *(1 + TINY.data_tokens)]]
        for block in tiny.network.vit.encoder.layer:
            kept = block(kept)
        kept = tiny.network.vit.layernorm(kept)[0, 1:].numpy()
    last = [i for i, token in enumerate(TINY.data_tokens) if token % 27 == 19]
    np.testing.assert_allclose(got[8], kept[last].mean(0), atol=1e-5)


def test_the_default_reads_the_last_column_with_data() -> None:
    for name, column in (("vitmae_650M", 22), ("vitmae_111M", 19)):
        config = BRAINLM_GEOMETRIES[name]
        weights = pool_weights(config, BrainLMSettings(), np.zeros(424, dtype=bool))
        columns = config.grid[1]
        wanted = [1 + row * columns + column for row in range(config.grid[0])]
        assert np.flatnonzero(weights[0]).tolist() == wanted
        assert weights.sum() == pytest.approx(1.0)


def test_reduced_precision_is_near_and_not_the_same(small: BrainLM) -> None:
    full, half = encode(small).rows["held"], encode(small, dtype="bfloat16").rows["held"]
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(full, half, atol=0.1)
    assert half.dtype == np.float32


def test_a_shift_turns_each_story_as_it_turns_those_of_other_encoders(small: BrainLM) -> None:
    still, moved = encode(small), encode(small, shift=True, min_shift=9, seed=4)
    again = shift_in_time(still, min_shift=9, seed=4)
    for story, rows in moved.rows.items():
        np.testing.assert_array_equal(rows, again.rows[story])
        turns = [
            k for k in range(len(rows)) if np.array_equal(np.roll(still.rows[story], k, 0), rows)
        ]
        assert len(turns) == 1
        least = min(9, len(rows) // 3)
        assert least <= turns[0] <= len(rows) - least
    assert "moved in time" in moved.provenance.facts
    assert "moved in time" not in still.provenance.facts
    other = encode(small, shift=True, min_shift=9, seed=5)
    assert any((other.rows[story] != moved.rows[story]).any() for story in LENGTHS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("change", [{"shift": 1}, {"shift": "yes"}, {"min_shift": 0}])
def test_a_bad_shift_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="shift"):
        BrainLMSettings(**change)


def test_provenance_says_what_an_audit_needs(small: BrainLM) -> None:
    said = encode(small).provenance
    assert (said.encoder, said.subject) == ("brainlm", "S1")
    assert (said.fitted_on, said.chosen_on, said.columns) == (("one", "two"), (), None)
    assert said.facts["parcels"] == 421
    assert said.facts["checkpoint"] == small.info.digest
    assert "random weights" in str(said.facts["weights"])
    assert "0.735 s" in str(said.facts["window"])


def test_progress_counts_windows(small: BrainLM) -> None:
    heard: list[tuple[int, int]] = []
    encode(small, hop=5, batch_windows=3, progress=lambda what, *count: heard.append(count))
    assert heard[-1] == (18 + 7 + 5, 18 + 7 + 5)
    assert {total for _, total in heard} == {30}
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_rows_other_than_those_of_the_responses_are_refused(small: BrainLM) -> None:
    given = material(VALUES, fitted_on=["one"])
    other = replace(given, recording=MadeRecording(LENGTHS | {"held": 24}))
    with pytest.raises(InputError, match="23 rows"):
        encode_brainlm(other, checkpoint=small, coordinates=PLACES, tr=2.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layer": 3}, "0 to 2"),
        ({"dtype": "float16"}, "float16 on a CPU"),
        ({"batch_windows": 0}, "batch_windows"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    small: BrainLM, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        encode(small, **changes)


def test_responses_without_parcels_are_refused_with_a_way_out(small: BrainLM) -> None:
    given = replace(material(VALUES, fitted_on=["one"]), parcels=None)
    with pytest.raises(InputError, match="another brain encoder"):
        encode_brainlm(given, checkpoint=small, coordinates=PLACES, tr=2.0)


def test_the_width_of_the_650m_is_1280() -> None:
    assert BrainLMSettings().width(BRAINLM_GEOMETRIES["vitmae_650M"]) == 1280


def test_the_folder_may_lie_anywhere(tmp_path: Path) -> None:
    """Where a checkpoint lies moves nothing."""
    rows = [
        encode(load_brainlm(save_random(tmp_path / name, SMALL)), hop=30).rows["one"]
        for name in ("a", "b c")
    ]
    assert rows[0].tobytes() == rows[1].tobytes()
