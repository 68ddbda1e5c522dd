"""The explorer's page in a browser: what it shows, how it is used, and HTML that stays text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from brainaligner.study._view_data import RunView
from brainaligner.study._view_server import explorer_server

WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(params=WIDTHS)
def opened(
    request: pytest.FixtureRequest, browser: Browser, port: int
) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page at each width, with its errors and what it asked for."""
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda sent: requests.append(sent.url))
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
    yield page, errors, requests
    page.close()


def test_the_page_shows_what_was_chosen(
    opened: tuple[Page, list[str], list[str]], view: RunView, port: int
) -> None:
    page, errors, requests = opened
    assert "SIMULATED" in page.inner_text("#about")
    scores = view.scores("first", "SIM01", "test")
    assert int(page.input_value("#target")) == int(np.nanargmax(scores))
    page.fill("#rank", "3")
    page.press("#rank", "Enter")
    third = int(np.argsort(-scores)[2])
    page.wait_for_function(
        f"document.getElementById('said').textContent.startsWith('Target {third},')"
    )
    story = page.input_value("#story")
    r = view.series("SIM01", story, third, ["first"])["r"]["first"]
    assert f"first {r:.3f}" in page.inner_text("#said")
    page.select_option("#subject", "SIM02")
    best = int(np.nanargmax(view.scores("first", "SIM02", "test")))
    page.wait_for_function(f"document.getElementById('target').value === '{best}'")
    assert errors == []
    assert page.locator(".modebar-btn").count() == page.locator("[data-title*=Download]").count()
    assert all(url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:")) for url in requests)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_words_and_rows_go_together(opened: tuple[Page, list[str], list[str]]) -> None:
    page, errors, _ = opened
    word = page.locator("#words span").nth(5)
    word.click()
    row = word.get_attribute("data-row")
    assert page.input_value("#row") == row
    assert page.inner_text("#words .now") == word.inner_text()
    page.focus("#row")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#row") == str(int(row or 0) + 1)
    assert errors == []


def test_a_click_on_the_cortex_chooses_a_target_there(
    opened: tuple[Page, list[str], list[str]], view: RunView
) -> None:
    page, errors, _ = opened
    assert page.locator("#cortex canvas").count() > 0
    page.evaluate(
        "document.getElementById('cortex').emit('plotly_click', {points: [{pointNumber: 7}]})"
    )
    near = view.targets_at("SIM01", 7)
    best = max(near, key=lambda t: view.scores("first", "SIM01", "test")[t])
    page.wait_for_function(f"document.getElementById('target').value === '{best}'")
    assert errors == []


def test_why_there_is_no_r_is_said(opened: tuple[Page, list[str], list[str]]) -> None:
    page, errors, _ = opened
    said = page.evaluate("""() => {
        const before = state.series;
        const r = { flat: null, chose: null, scored: 0.25 };
        state.series = { ...before, r, predicted: { flat: [0, 0], chose: null, scored: [1, 2] } };
        try { return described(); } finally { state.series = before; }
    }""")
    assert "flat no r (one side does not vary)" in said
    assert "chose not scored here (its encoder looked at this story)" in said
    assert "scored 0.250" in said
    assert errors == []


def test_no_serious_accessibility_finding(opened: tuple[Page, list[str], list[str]]) -> None:
    found = Axe().run(opened[0]).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)[:2000]


HOSTILE = '<img src=x onerror="window.pwned=1"><a href="https://evil.example">&lt;'


@pytest.fixture
def hostile(browser: Browser, view: RunView, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The page of a run with HTML for words and title, and scores of which most are NaN."""
    about, words, scores = RunView.about, RunView.words, RunView.scores

    def titled(self: RunView) -> dict[str, Any]:
        return about(self) | {"title": HOSTILE, "study": HOSTILE}

    def said(self: RunView, *where: Any) -> list[str]:
        return [HOSTILE for _ in words(self, *where)]

    def mostly_missing(self: RunView, *where: Any) -> np.ndarray:
        found = scores(self, *where)
        keep = 0 if where[1] == "SIM02" else 3
        return np.where(np.arange(len(found)) < keep, found, np.nan).astype(np.float32)

    monkeypatch.setattr(RunView, "about", titled)
    monkeypatch.setattr(RunView, "words", said)
    monkeypatch.setattr(RunView, "scores", mostly_missing)
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with explorer_server(view) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
        yield page
        page.close()
        server.shutdown()
    assert errors == []


def test_html_in_texts_stays_text(hostile: Page) -> None:
    assert hostile.inner_text("#title") == HOSTILE
    assert hostile.locator("#words span").first.inner_text() == HOSTILE
    assert hostile.locator("main img, header img, main a[href*=evil]").count() == 0
    hostile.evaluate("Plotly.Fx.hover('course', [{curveNumber: 0, pointNumber: 4}])")
    hostile.wait_for_selector("#course .hovertext")
    assert "<img" in (hostile.locator("#course .hovertext").first.text_content() or "")
    assert hostile.locator("#course a").count() == 0
    assert hostile.evaluate("window.pwned") is None


def test_subjects_without_any_score_are_shown(hostile: Page) -> None:
    hostile.fill("#rank", "9")
    hostile.press("#rank", "Enter")
    hostile.wait_for_function("document.getElementById('rank').value === '3'")
    hostile.select_option("#subject", "SIM02")
    hostile.wait_for_function(
        "document.getElementById('target').max === '159' && state.order.length === 0"
    )
    hostile.fill("#rank", "2")
    hostile.press("#rank", "Enter")
    hostile.wait_for_function("document.getElementById('said').textContent.startsWith('Target 0,')")
    assert hostile.input_value("#subject") == "SIM02"
    assert str(hostile.text_content("#said")).startswith("Target 0,")
