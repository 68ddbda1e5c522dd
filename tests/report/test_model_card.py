"""The model card: what a reader and the hub see, whatever names a study has."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import yaml

from brainaligner.evaluation import Interval
from brainaligner.report import CardScore, ModelCard, render_card, score_tables

STORIES = Interval(0.01, 0.03, 0.95, "studentised bootstrap over stories", 14, False)
NONE = Interval(math.nan, math.nan, 0.95, "too few rows", 4, True)


def score(arm: str, **changes: Any) -> CardScore:
    plain = CardScore(
        arm=arm,
        what=f"what {arm} is",
        exported=False,
        subject="UTS01",
        group="test",
        presentations="single",
        targets="voxels",
        rows_cut=0,
        n_stories=14,
        n_rows=4895,
        n_targets=200,
        mean=0.0204,
        interval=STORIES,
    )
    return replace(plain, **changes)


def card(**changes: Any) -> ModelCard:
    plain = ModelCard(
        title="es of mine",
        front_matter="license: other\ntags:\n- brain\n",
        audit="PASS",
        simulated=False,
        summary="A model.",
        head=None,
        embed="brainaligner embed FOLDER words.csv --to v.npz",
        reading=(("layer", "hidden_states[-1]"),),
        tuned_on=(("dataset", "folder"),),
        stories=(("tale", "tuned on", "abc", "UTS01 def"),),
        score_notes=("r over targets.",),
        scores=(score("es", exported=True), score("plain")),
        audit_notes=(("unproven", "3"),),
        licences=(("data", "CC0"),),
        keys=(("study", "mine"),),
    )
    return replace(plain, **changes)


def body(text: str) -> list[str]:
    """Lines below the front matter."""
    return text.split("---\n", 2)[2].splitlines()


def cells(line: str) -> list[str]:
    """Cells of a Markdown table's row, as a reader of Markdown divides them."""
    marked = line.replace("\\|", "\0").strip("|").split("|")
    return [cell.replace("\0", "|").strip() for cell in marked]


def test_the_front_matter_is_first_and_yaml() -> None:
    text = render_card(card())
    assert text.startswith("---\n")
    assert yaml.safe_load(text.split("---\n")[1]) == {"license": "other", "tags": ["brain"]}
    assert body(text)[0] == "# es of mine"


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"audit": "NOT VALID: a_b <c> | *d*"}, ["NOT VALID: a_b <c> | *d*", ""]),
        ({"simulated": True}, ["SIMULATED DATA", ""]),
        (
            {"simulated": True, "audit": "NOT VALID: why"},
            ["NOT VALID: why", "", "SIMULATED DATA", ""],
        ),
        ({"audit": "WARN"}, ["# es of mine", ""]),
    ],
)
def test_what_must_be_read_first_is_first(changes: dict[str, Any], first: list[str]) -> None:
    lines = body(render_card(card(**changes)))
    assert lines[: len(first)] == first
    signs = [line.partition(":")[0] for line in first if line and not line.startswith("#")]
    titles = [table.title for table in score_tables(card(**changes))]
    assert titles == [": ".join([*signs, "test, no rows cut"])]


def test_one_table_for_each_group_and_cut_with_repeated_stories_last() -> None:
    scores = [
        score("es", group="smoke", presentations="repeated"),
        score("es", rows_cut=10),
        score("es"),
        score("es", group="smoke", presentations="repeated", rows_cut=10),
    ]
    titles = [table.title for table in score_tables(card(scores=tuple(scores)))]
    assert titles == [
        "test, no rows cut",
        "test, 10 rows cut at each end of each story",
        "smoke (repeated presentations, averaged), no rows cut",
        "smoke (repeated presentations, averaged), 10 rows cut at each end of each story",
    ]


def test_the_exported_arm_is_first_and_means_have_intervals() -> None:
    scores = (
        score("plain"),
        score("es", exported=True, mean=0.1),
        score("es", exported=True, subject="UTS02", mean=math.nan),
        score("plain", subject="UTS02", interval=NONE),
        score("only", subject="UTS02"),
    )
    (table,) = score_tables(card(scores=scores))
    assert [str(column) for column in table.columns][2:] == ["UTS01 mean r", "UTS02 mean r"]
    assert table.rows == (
        ("es (of this model)", "what es is", "0.100 [0.010, 0.030]", "n/a"),
        ("plain", "what plain is", "0.020 [0.010, 0.030]", "0.020"),
        ("only", "what only is", "n/a", "0.020 [0.010, 0.030]"),
    )
    notes = dict(table.notes)
    assert notes["over"] == "14 stories, 4,895 rows, 200 voxels"
    assert "studentised bootstrap over stories" in notes["in brackets"]
    assert "too few rows" in notes["in brackets"]


def test_hostile_names_stay_in_their_cells() -> None:
    name = "a|b<img src=x>\n`c`* [d](http://e)"
    hostile = card(
        title=name,
        stories=((name, "tuned on", "abc", name),),
        scores=(score(name, what=name), score("z")),
    )
    lines = body(render_card(hostile))
    assert not [line for line in lines if "<img" in line and not line.startswith("| `")]
    assert "](http" not in lines[0]
    tables = [line for line in lines if line.startswith("|")]
    story = next(line for line in tables if "tuned on" in line)
    assert len(cells(story)) == 4
    assert cells(story)[0] == "`a|b<img src=x> 'c'* [d](http://e)`"
    arm = next(line for line in tables if "what z is" not in line and "0.020" in line)
    assert len(cells(arm)) == 3


@pytest.mark.parametrize("head", [None, "AutoModelForMaskedLM"])
def test_the_head_is_named_where_there_is_one(head: str | None) -> None:
    text = render_card(card(head=head))
    assert ("loads the head" in text) == (head is not None)
    assert f"`{head}` loads" in text or head is None


def test_the_code_of_a_card_is_three_lines_of_transformers() -> None:
    block = render_card(card()).split("```python\n")[1].split("```")[0]
    code = [line for line in block.splitlines() if line]
    assert len(code) == 3
    compile(block, "card", "exec")
    assert "brainaligner" not in block
