"""What the documents say is run, not believed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from brainaligner.study import StudyConfig, app, load_study
from brainaligner.study._cluster_config import read_cluster

ROOT = Path(__file__).resolve().parents[1]
PRINTED = {
    "README.md": r"mean r 0\.[2-9]\d over 300 voxels",
    "comparing.md": r"0\.0162",
    "sharing.md": r"vectors \(2, 384\) at \[1\. 3\.\] s",
    "tuning.md": r"[\d.]+ bits per masked token, states \(1, 7, 384\)",
}
DOCUMENTS = (ROOT / "README.md", ROOT / "README.ja.md", *sorted((ROOT / "docs").glob("*.md")))


def blocks(language: str) -> list[tuple[str, str]]:
    """Code blocks of one language, with the document that each stands in."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (document.name, block)
        for document in DOCUMENTS
        for block in fence.findall(document.read_text(encoding="utf-8"))
    ]


def commands(program: str) -> list[str]:
    """Lines of the shell blocks that call one program, comments removed."""
    lines = [line for _, block in blocks("bash") for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith(program)]


@pytest.mark.usefixtures("unchecked")  # typer hands commands a Context of another class
@pytest.mark.parametrize("line", commands("brainaligner"))
def test_every_command_of_the_documents_exists(line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if not word.isupper()]
    name = [word for word in words[:2] if "/" not in word and not word.startswith("-")]
    shown = CliRunner().invoke(app, [*name[: _depth(name)], "--help"])
    assert shown.exit_code == 0, shown.output
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def _depth(name: list[str]) -> int:
    return 2 if name[0] in ("data", "studies") and len(name) > 1 else 1


@pytest.mark.parametrize("line", commands("make"))
def test_every_make_target_of_the_documents_exists(line: str) -> None:
    target = line.split()[1]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize(("document", "block"), blocks("python"))
def test_python_of_the_documents_runs(document: str, block: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{document}: {done.stderr}"
    assert re.search(PRINTED[document], done.stdout)


@pytest.mark.parametrize(("document", "block"), blocks("yaml"))
def test_study_and_cluster_files_of_the_documents_load(
    document: str, block: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(block, encoding="utf-8")
    if "kind" in yaml.safe_load(block):
        assert read_cluster(path).kind == yaml.safe_load(block)["kind"]
        return
    config = load_study(str(path))
    assert isinstance(config, StudyConfig)
    assert config.name == yaml.safe_load(block)["name"], document
