"""The documentation site builds with every link whole, and says what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.testing import CliRunner

from brainaligner import __version__
from brainaligner.study import app

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](https?://[^"']+)""")


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where a broken link or an unknown anchor is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_and_room_is_a_page(site: Path, pages: ModuleType) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")}
    made = {Path(at).with_suffix("").as_posix() for at in pages.made_pages()} - {"index"}
    rooms = {path.parent.name for path in (ROOT / "src/brainaligner").glob("*/__init__.py")}
    assert {f"api/{room}" for room in rooms} <= made
    assert all((site / name / "index.html").exists() for name in documents | made)
    assert (site / "index.html").exists()


def test_the_site_asks_nothing_of_other_machines(site: Path) -> None:
    asked = {
        url
        for page in site.rglob("*.html")
        for url in OUTSIDE.findall(page.read_text(encoding="utf-8"))
    }
    assert not asked


@pytest.mark.usefixtures("unchecked")  # typer hands commands a Context of another class
def test_the_page_of_commands_holds_what_help_prints_of_each(pages: ModuleType) -> None:
    page = pages.commands_page()
    found = dict(helps())
    assert {("data", "simulate"), ("studies", "show"), ("init",), ("view",)} <= found.keys()
    for words, output in found.items():
        title = " ".join(["brainaligner", *words])
        said = re.sub(r"Usage: \S+", "Usage: brainaligner", output).strip()
        assert f"## {title}\n" in page
        assert said in page
    assert page.count("\n## ") == len(found)


def helps(words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """What --help prints of a command, and of each command that it names below "Commands:"."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    yield words, shown.output
    _, _, listed = shown.output.partition("\nCommands:\n")
    for name in re.findall(r"^  ([a-z]\S*)", listed.partition("\n\n")[0], re.MULTILINE):
        yield from helps((*words, name))


def test_public_functions_are_on_the_page_of_their_room(site: Path) -> None:
    page = (site / "api/encoding/index.html").read_text(encoding="utf-8")
    for name in ("fit_ridge", "RidgeSettings", "RidgeEncoder"):
        assert f'id="brainaligner.encoding.{name}"' in page
    assert "argmin_W" in page


@pytest.mark.parametrize(
    ("link", "page", "wanted"),
    [
        ("](docs/tuning.md)", "index.md", "](tuning.md)"),
        ("](../LOG.md)", "objectives.md", "](log.md)"),
        ("](README.ja.md)", "index.md", "](index.ja.md)"),
        ("](test-set.md#the-ledger)", "searching.md", "](test-set.md#the-ledger)"),
        ("](https://example.org/a.md)", "index.md", "](https://example.org/a.md)"),
        ("](#here)", "tuning.md", "](#here)"),
    ],
)
def test_links_lead_to_pages(pages: ModuleType, link: str, page: str, wanted: str) -> None:
    assert pages.site_links(f"[x{link}", page) == f"[x{wanted}"


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__
    assert cited["license"] == "MIT"
