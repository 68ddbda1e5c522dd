"""Every number of a page's tables leads to the recipe of the artifact that holds it."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from study_trees import Cli

NUMBER = re.compile(r"-?\d+\.\d+|\d+ %")


class Page(HTMLParser):
    """Anchors, links, and the cells of tables with the caption that each stands under."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cells: list[tuple[str, str, str]] = []  # caption, text, link
        self._caption, self._inside, self._text, self._link = "", "", "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        if tag == "a" and "download" not in found:
            self.links.append(str(found["href"]))
            self._link = str(found["href"]) if self._inside == "td" else ""
        if tag in ("td", "caption"):
            self._inside, self._text, self._link = tag, "", ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._caption = self._text
        if tag == "td":
            self.cells.append((self._caption, " ".join(self._text.split()), self._link))
        if tag in ("td", "caption"):
            self._inside = ""


@pytest.fixture(scope="module")
def page(finished: Path) -> Page:
    return Page((finished / "tiny" / "report.html").read_text(encoding="utf-8"))


def scored(page: Page) -> list[tuple[str, str]]:
    """Text and link of each number in the tables of scores."""
    return [
        (text, link)
        for caption, text, link in page.cells
        if "Pearson r of each arm" in caption and NUMBER.search(text)
    ]


def test_every_number_of_the_tables_is_a_link_to_an_anchor_that_is_there(page: Page) -> None:
    cells = scored(page)
    assert len(cells) == 2 * 2 * (2 * 3 + 2)  # cuts, arms, (subjects x 3, means x 2)
    assert all(link for _, link in cells), [text for text, link in cells if not link]
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)


def test_the_recipe_is_that_of_the_artifact_with_the_number(page: Page, finished: Path) -> None:
    store = finished / "store"
    led = {link.removeprefix("#recipe-") for _, link in scored(page) if "#recipe-" in link}
    assert led == {path.name for path in (store / "scores").iterdir()}
    by_key: dict[str, set[str]] = {}
    for text, link in scored(page):
        by_key.setdefault(link.removeprefix("#recipe-"), set()).add(text.split(" [")[0])
    for key in led:
        with np.load(store / "scores" / key / "scores.npz") as archive:
            means = {f"{archive[f'test/cut{cut}'].mean():.3f}" for cut in (0, 5)}
        assert means <= by_key[key]


def test_recipes_on_the_page_are_those_of_the_store(page: Page, finished: Path) -> None:
    text = (finished / "tiny" / "report.html").read_text(encoding="utf-8")
    keys = [one.removeprefix("recipe-") for one in page.ids if one.startswith("recipe-")]
    stages = set()
    for key in keys:
        (found,) = (finished / "store").glob(f"*/{key}/recipe.json")
        recipe = json.loads(found.read_text(encoding="utf-8"))
        stages.add(recipe["stage"])
        artifacts = [v for v in recipe["inputs"].values() if f"recipe-{v}" in page.ids]
        for value in artifacts:
            assert f'href="#recipe-{value}"' in text
        others = [v for v in recipe["inputs"].values() if v not in artifacts]
        assert all(value.rpartition("/")[2][:12] in text for value in others)
    of_tables = {"scores", "story_scores", "readout", "features"}
    assert stages == of_tables | {"contrast", "lag_curve", "reduced"}  # and of figures


def test_the_command_on_the_page_prints_the_chain(page: Page, cli: Cli, finished: Path) -> None:
    key = next(one.removeprefix("recipe-") for one in page.ids if one.startswith("recipe-"))
    done = cli("recipe", finished / "tiny", key[:12])
    assert done.code == 0, done.err
    assert key[:12] in done.out.splitlines()[0]
    assert cli("recipe", finished / "tiny", "0" * 12).code == 2
    assert cli("recipe", finished / "tiny", key[:7]).code == 2


def test_means_over_subjects_name_the_scores_that_they_are_means_of(page: Page) -> None:
    means = [link for _, link in scored(page) if "#mean-" in link]
    assert set(means) == {"#mean-0", "#mean-1"}
    assert len(means) == 2 * 2 * 2


def test_links_survive_names_that_no_page_may_hold(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    title = "<script>alert(1)</script>"
    assert (
        cli("run", out / "tiny" / "study.yaml", "--out", out, "--set", f"title={title}").code == 0
    )
    text = (out / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert len(scored(Page(text))) == 32
