"""What a study says of how far tuned models are from where they started."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brainaligner.aligner import load_aligner
from brainaligner.study._tables import tuning_table
from brainaligner.study._tuning import read_tuning
from brainaligner.study._tuning_language import similarity_cell, similarity_facts
from brainaligner.text import RowText

OLD = {
    "epochs": 3,
    "best_epoch": 2,
    "moved": {"head": 0.1},
    "bits": {"none": 3.0, "plain": 4.0, "unigram": 5.0},
    "head_learned": False,
}


def _layers(**by_kind: tuple[float, ...]) -> dict[str, dict[str, float]]:
    length = len(next(iter(by_kind.values())))
    return {str(k): {kind: values[k] for kind, values in by_kind.items()} for k in range(length)}


def test_the_cell_shows_the_layer_least_like_the_original() -> None:
    one = _layers(cka=(1.0, 0.9, 0.95), rsa=(1.0, 0.8, 0.7))
    assert similarity_cell([one]) == "CKA 0.900 (1), RSA 0.700 (2)"
    other = _layers(cka=(1.0, 0.9, 0.5), rsa=(1.0, 0.2, 0.7))
    assert similarity_cell([one, other]) == "CKA 0.725 (2), RSA 0.500 (1)"
    nan = float("nan")
    assert similarity_cell([_layers(cka=(nan, 0.5), rsa=(nan, nan))]) == "CKA 0.500 (1), RSA n/a"
    assert similarity_cell([one, {}]) == "n/a"


@pytest.mark.usefixtures("unchecked")  # the task is a stand-in
def test_a_tuning_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(OLD), encoding="utf-8")
    task: Any = SimpleNamespace(
        name="es",
        whose="UTS01",
        seed=0,
        brains=(),
        division=SimpleNamespace(fold=None),
        recipe=SimpleNamespace(stage="tuning", key="0" * 8),
    )
    facts = read_tuning(task, tmp_path)
    assert facts.similarity == {}
    newer = replace(facts, seed=1, similarity=_layers(cka=(1.0, 0.5), rsa=(1.0, 0.4)))
    table = tuning_table([facts, newer], simulated=False)
    at = [str(column) for column in table.columns].index(
        "similarity to the original lowest (layer)"
    )
    assert [row[at] for row in table.rows] == ["n/a", "CKA 0.500 (1), RSA 0.400 (1)"]


def test_too_little_text_has_no_similarity(checkpoint: Path) -> None:
    model = load_aligner(str(checkpoint), brain_width=None)
    rows = [RowText((), ("a",)), RowText((), ()), RowText((), ("b",))]
    assert similarity_facts(model, model, {"one": rows}) == {}
    found = similarity_facts(model, model, {"one": rows, "two": [RowText((), ("a", "b"))]})
    assert {value for layer in found.values() for value in layer.values()} == {1.0}
