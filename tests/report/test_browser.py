"""The page as a reader gets it: in a real browser, on a desktop and on a phone."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from brainaligner.evaluation import Finding
from brainaligner.report import RecipeNote, RunReport, render_page

WIDTHS = {"desktop": 1280, "phone": 390}
HOSTILE = "</title><script>window.broken=1</script><img src=x onerror=window.broken=1>"


@dataclass
class Visit:
    """An opened page, and what happened while it opened."""

    page: Page
    address: str
    errors: list[str]
    requests: list[str]


def visit(browser: Browser, html: str, folder: Path, width: int) -> Visit:
    """Open a page, and keep a picture of it in `folder`."""
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    seen = Visit(browser.new_page(viewport={"width": width, "height": 900}), file.as_uri(), [], [])
    seen.page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(seen.address)
    seen.page.screenshot(path=folder / f"report-{width}.png", full_page=True)
    return seen


@pytest.fixture(
    scope="module", params=itertools.product(("components", "voxels"), WIDTHS), ids="-".join
)
def opened(
    request: pytest.FixtureRequest,
    browser: Browser,
    pages: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Visit]:
    """Each kind of report, at each width."""
    kind, width = request.param
    seen = visit(browser, pages[kind], tmp_path_factory.mktemp("page"), WIDTHS[width])
    yield seen
    seen.page.close()


def test_page_opens_quietly_and_asks_for_nothing(opened: Visit) -> None:
    assert opened.errors == []
    outside = [url for url in opened.requests if not url.startswith("data:")]
    assert outside == [opened.address]


MAPS = "svg:has(> image)"


def test_every_drawing_has_words(opened: Visit) -> None:
    assert opened.page.locator("img").count() == 0
    maps = opened.page.locator(MAPS)
    words = opened.page.evaluate(
        """[...document.querySelectorAll('svg')].map(svg => svg.getAttribute('role') === 'img' &&
        svg.getAttribute('aria-labelledby').split(' ')
           .map(id => document.getElementById(id).textContent).join(' '))"""
    )
    assert len(words) == 11 + maps.count()
    assert all(re.search(r"\d\.\d{3}", text) for text in words)
    titles = ("Mean r of each arm and subject", "Distribution of r", "paired", "each story",
              "by layer", "left context", "by delay", "by alpha", "Loss by epoch")  # fmt: skip
    assert all(any(title in text for text in words) for title in titles)
    figures = opened.page.locator("figure")
    assert figures.count() == len(words)
    assert figures.count() == opened.page.locator("figure figcaption").count()


def test_every_figure_hands_out_its_data(opened: Visit) -> None:
    links = opened.page.locator("figure a[download]")
    assert links.count() == opened.page.locator("figure").count()
    names = [links.nth(i).get_attribute("download") for i in range(links.count())]
    assert len(names) == len(set(names))
    for i in (0, links.count() - 1):
        with opened.page.expect_download() as saved:
            links.nth(i).click()
        assert saved.value.suggested_filename == names[i]
        content = saved.value.path().read_bytes()
        packed = str(names[i]).endswith(".gz")
        lines = (gzip.decompress(content) if packed else content).decode().splitlines()
        assert len(lines) > 3
        assert len({line.count("\t") for line in lines}) == 1
    assert "\t".join(("arm", "subject")) in _data(opened.page, "mean-r.tsv")
    assert "dashed" in _data(opened.page, "Loss-by-epoch-tuning-tuned-all-subjects.tsv")


def _data(page: Page, name: str) -> str:
    address = page.locator(f'a[download="{name}"]').get_attribute("href")
    assert address is not None
    return base64.b64decode(address.partition("base64,")[2]).decode()


def test_differences_between_arms_are_mapped_where_targets_have_places(opened: Visit) -> None:
    drawings = opened.page.locator(MAPS)
    words = [drawings.nth(i).locator("desc").text_content() or "" for i in range(drawings.count())]
    if not words:
        assert "No cortex map" in opened.page.locator("#maps ~ p").first.inner_text()
        return
    assert len(words) == 6
    of_differences = [text for text in words if "difference in r" in text]
    assert len(of_differences) == 3
    assert all("outlined" in text and "significantly better" in text for text in of_differences)
    assert sum("flatmap" in text for text in words) == 2  # of one subject
    sizes = opened.page.evaluate(
        f"""Promise.all([...document.querySelectorAll('{MAPS} > image')].map(e => {{
        const image = new Image(); image.src = e.getAttribute('href');
        return image.decode().then(() => [image.naturalWidth, image.naturalHeight]); }}))"""
    )
    assert len(sizes) == 6
    assert all(width >= 700 and height >= 400 for width, height in sizes)


def test_no_serious_accessibility_finding(opened: Visit) -> None:
    found = Axe().run(opened.page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)[:2000]


def test_no_identifier_stands_twice(opened: Visit) -> None:
    ids = opened.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_nothing_sticks_out_and_tables_are_seen(opened: Visit) -> None:
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tables = page.locator("table")
    assert tables.count() == 2
    assert all(tables.nth(i).is_visible() for i in range(2))
    boxes = page.evaluate(
        """[...document.querySelectorAll('.scroll, figure, pre, .finding')]
        .map(e => e.getBoundingClientRect()).map(b => b.left >= 0 && b.right <= innerWidth)"""
    )
    assert all(boxes)


def test_a_table_for_three_subjects_needs_no_scrolling_on_a_desktop(opened: Visit) -> None:
    page = opened.page
    scrolls = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth > e.clientWidth)"
    )
    on_phone = page.viewport_size is not None and page.viewport_size["width"] == WIDTHS["phone"]
    assert scrolls == [on_phone] * 2


def test_headings_descend_one_by_one(opened: Visit) -> None:
    levels = opened.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_warnings_stand_before_the_numbers(opened: Visit) -> None:
    tops = opened.page.evaluate(
        """['.fail', '.warn', '.note', '.lead', '.about', 'table', 'svg', '#maps', '#settings']
        .map(name => document.querySelector(name).getBoundingClientRect().top)"""
    )
    assert tops == sorted(tops)
    worst = opened.page.locator(".fail").first
    assert worst.is_visible()
    assert "FAIL" in worst.inner_text()


def test_row_headings_name_their_rows(opened: Visit) -> None:
    scopes = opened.page.evaluate(
        "[...document.querySelectorAll('table th')].filter(th => !th.scope).length"
    )
    assert scopes == 0
    assert opened.page.locator("table caption").count() == 2


def test_long_names_and_many_subjects_do_not_widen_the_page(
    browser: Browser, components: RunReport, tmp_path: Path
) -> None:
    long = "one_name_without_any_space_" * 6
    results = []
    for result in components.results:
        for copy in "abc":
            names = {"arm": f"{result.scores.arm} {long}", "subject": result.scores.subject + copy}
            scores, summary = replace(result.scores, **names), replace(result.summary, **names)
            results.append(replace(result, scores=scores, summary=summary))
    report = replace(components, results=tuple(results))
    seen = visit(browser, render_page(report), tmp_path, WIDTHS["desktop"])
    sticking_out = seen.page.evaluate(
        """[...document.querySelectorAll('svg text, .scroll, table')].filter(e => {
        const box = (e.closest('svg') || document.documentElement).getBoundingClientRect();
        const own = e.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1;
        }).map(e => e.textContent.slice(0, 80))"""
    )
    assert sticking_out == []
    seen.page.close()


def test_print_is_dark_on_white_also_for_readers_of_dark_pages(
    browser: Browser, pages: dict[str, str], tmp_path: Path
) -> None:
    seen = visit(browser, pages["components"], tmp_path, WIDTHS["desktop"])
    seen.page.emulate_media(media="print", color_scheme="dark")
    colours = seen.page.evaluate(
        """[...document.querySelectorAll('p, td, th, .badge, .where, dd')]
        .map(e => Math.max(...getComputedStyle(e).color.match(/\\d+/g).slice(0, 3)))"""
    )
    assert len(colours) > 50
    assert max(colours) < 180
    seen.page.close()


def test_hostile_names_stay_text(browser: Browser, components: RunReport, tmp_path: Path) -> None:
    hostile = replace(
        components,
        title=HOSTILE,
        study=HOSTILE,
        settings_text=f"</pre>{HOSTILE}",
        findings=(Finding("warn", HOSTILE, HOSTILE),),
        recipes=((HOSTILE, HOSTILE),),
    )
    seen = visit(browser, render_page(hostile), tmp_path, WIDTHS["desktop"])
    assert seen.page.evaluate("window.broken") is None
    assert seen.page.locator("script, img").count() == 0
    assert seen.page.locator("h1").inner_text() == HOSTILE
    assert seen.errors == []
    seen.page.close()


def test_a_number_opens_its_recipe_from_the_keyboard(
    browser: Browser, components: RunReport, tmp_path: Path
) -> None:
    keys = {"scores": "a" * 32}
    inputs = (("responses/story", "reader/" + "c" * 64),)
    chain = (RecipeNote("a" * 32, "scores", 2, "{}", (("readout/0", "b" * 32),), inputs),)
    chain += (RecipeNote("b" * 32, "readout", 2, "{}", (), ()),)
    results = tuple(replace(result, keys=keys) for result in components.results)
    path = tmp_path / "page.html"
    path.write_text(render_page(replace(components, results=results, chain=chain)), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("td a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(":target", state="visible")
    assert page.url.endswith("#recipe-" + "a" * 32)
    assert page.locator(":target").evaluate("one => one.closest('details').open")
    page.locator(":target a").first.press("Enter")
    page.wait_for_selector("#recipe-" + "b" * 32, state="visible")
    page.close()
