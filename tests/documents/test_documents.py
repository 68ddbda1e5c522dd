"""What the documents say is followed, not believed."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml
from document_blocks import DOCUMENTS, ROOT, SHELLS, Block, all_blocks, blocks_of
from document_commands import (
    MADE,
    OUTSIDE,
    PLACES,
    PLANNED,
    READ,
    WrongCommandError,
    entry,
    parse,
    placed,
    started,
)

from brainaligner.study import StudyConfig, load_study
from brainaligner.study._cluster_config import read_cluster
from brainaligner.study._cluster_jobs import job_scripts
from brainaligner.study._search_space import read_space

PRINTED = {
    "README.md": (r"mean r 0\.[2-9]\d over 300 voxels, alpha \d+",),
    "comparing.md": (r"0\.0162",),
    "notebook.md": (
        r"mean r 0\.[2-9]\d \[0\.\d\d, 0\.\d\d\] over 300 voxels, alpha \d+",
        r"group validation",
        r"test: 0\.\d\d, tale: 0\.\d\d",
        r"es, UTS01: -?0\.\d\d\d over 6 voxels",
        r"[+-]0\.\d{4} (better|worse|undecided)",
        r"r2 of scikit-learn 0\.\d\d",
    ),
    "sharing.md": (r"states \(1, 7, 16\)", r"vectors \(2, 384\) at \[1\. 3\.\] s"),
    "tuning.md": (r"[\d.]+ bits per masked token, states \(1, 7, 384\)",),
}
"""What each python block of a document prints."""

LOADED = {
    "example": "label files of regions, which are not on the desk",
    "tuned": "more training stories than are on the desk",
    "regions": "label files of ds003020",
    "voxels": "recordings of ds003020",
}
"""Studies that are read and checked, and not planned: their data are not on the desk."""

FILES = {"json": "FOLDER/dataset.json", "space": "space.yaml"}
"""Where a block of a language is saved."""

TRANSLATED = {
    one: one.with_name(one.name.replace(".ja.", ".")) for one in DOCUMENTS if ".ja." in one.name
}

WHOLE_STUDIES = ("first-result.md", "objectives.md", "test-set.md", "tuning.md")
"""Documents whose commands run many studies."""

LANGUAGES = {*SHELLS, *FILES, "python", "yaml"}


def save_files(document: Path) -> None:
    """Save what a document shows as a file, under its own name, before any command asks for it."""
    for block in blocks_of(document):
        if block.language in FILES:
            Path(FILES[block.language]).write_text(block.text, encoding="utf-8")
        if block.language == "yaml":
            study_path(block).write_text(block.text, encoding="utf-8")


def study_path(block: Block) -> Path:
    """Where a study or a cluster file is saved."""
    content = yaml.safe_load(block.text)
    return Path(f"{content['kind' if 'kind' in content else 'name']}.yaml")


@pytest.mark.usefixtures("unchecked")  # typer hands commands a Context of another class
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(one, marks=pytest.mark.long if one.name in WHOLE_STUDIES else (), id=one.name)
        for one in DOCUMENTS
        if blocks_of(one) and one not in TRANSLATED
    ],
)
def test_a_document_is_followed(
    document: Path, desk: Path, call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    save_files(document)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = iter(PRINTED.get(document.name, ()))
    for block in blocks_of(document):
        if block.language in SHELLS:
            for words in block.commands:
                follow_command(words, block, call)
        elif block.language == "python":
            capsys.readouterr()
            exec(compile(block.text, str(block), "exec"), names)
            assert re.search(next(printed), capsys.readouterr().out), block
        elif block.language == "yaml":
            follow_yaml(block, call)
        elif block.language == "space":
            assert read_space(Path(FILES["space"]))
    assert next(printed, None) is None


def follow_command(words: tuple[str, ...], block: Block, call: Any) -> None:
    """Run a command on the desk, or do what a table says in place of that."""
    if words[0] != "brainaligner":
        follow_program(words, block)
        return
    if entry(words, READ) or " ".join(words) in MADE:
        parse(words[1:])
        return
    if (*words, "--plan") in block.commands:  # the block plans it, and says how long it takes
        parse(words[1:])
        return
    more = ["--plan"] if entry(words, PLANNED) and "--plan" not in words else []
    done = call(*placed(words)[1:], *more)
    assert done.code == 0, f"{block}: {' '.join(words)}: {done.err}"
    assert done.out, f"{block}: {' '.join(words)} printed nothing"


def follow_program(words: tuple[str, ...], block: Block) -> None:
    """Check what can be checked of a program that is not ours."""
    assert words[0] in OUTSIDE, f"{block}: {' '.join(words)}: neither run nor listed"
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    for ours in started(words):
        parse(ours)
    if words[0] == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = re.findall(r"\[([\w,]+)\]", " ".join(words))
        assert {e for extras in asked for e in extras.split(",")} <= set(
            project["optional-dependencies"]
        ), block


def follow_yaml(block: Block, call: Any) -> None:
    """Read a study or a cluster file; plan the study where its data are on the desk."""
    path, content = study_path(block), yaml.safe_load(block.text)
    if "kind" in content:
        cluster = read_cluster(path)
        assert cluster.kind == content["kind"]
        assert (cluster.kind in ("local", "address")) or job_scripts(cluster)
        return
    config = load_study(str(path))
    assert isinstance(config, StudyConfig)
    assert config.name == content["name"], block
    if config.name not in LOADED:
        done = call("run", str(path), "--data", "FOLDER", "--plan")
        assert done.code == 0, f"{block}: {done.err}"


@pytest.mark.parametrize("document", TRANSLATED, ids=lambda document: document.name)
def test_a_translation_has_no_block_of_its_own(document: Path) -> None:
    """What it says is followed where the original says it."""
    for pick in (lambda block: block.commands, lambda block: (yaml_text(block),)):
        said, original = (
            {one for block in blocks_of(place) for one in pick(block)}
            for place in (document, TRANSLATED[document])
        )
        assert said <= original


def yaml_text(block: Block) -> str:
    """The text of a block that is neither a command nor empty."""
    return "" if block.language in SHELLS else block.text


@pytest.mark.parametrize("block", all_blocks(), ids=str)
def test_every_block_is_of_a_language_that_is_followed(block: Block) -> None:
    assert block.language in LANGUAGES


@pytest.mark.parametrize(
    "table",
    [READ, PLANNED, MADE, PLACES, OUTSIDE],
    ids=("read", "planned", "made", "places", "outside"),
)
def test_no_table_names_a_command_that_no_document_has(table: Collection[str]) -> None:
    commands = [words for block in all_blocks() for words in block.commands]
    met = {entry(words, table) for words in commands} | {words[0] for words in commands}
    assert set(table) <= met


def test_no_table_names_a_block_that_no_document_has() -> None:
    studies = [yaml.safe_load(b.text).get("name") for b in all_blocks() if b.language == "yaml"]
    assert set(LOADED) <= set(studies)
    python = [block.document for block in all_blocks() if block.language == "python"]
    assert {name: python.count(name) for name in python} == {
        name: len(patterns) for name, patterns in PRINTED.items()
    }


@pytest.mark.parametrize(
    "line",
    [
        ["run", "my-study.yaml", "--plann"],
        ["run", "my-study.yaml", "--threads", "many"],
        ["run"],
        ["data", "chek", "FOLDER"],
        ["nothing"],
        [],
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_command_that_is_wrong_does_not_parse(line: list[str]) -> None:
    with pytest.raises(WrongCommandError):
        parse(line)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "line", [["studies"], ["data", "check", "FOLDER"], ["run", "x", "--threads", "2"]]
)
def test_a_command_that_is_right_parses_and_no_longer_with_a_slip(line: list[str]) -> None:
    parse(line)
    with pytest.raises(WrongCommandError):
        parse([*line, "--slip"])
