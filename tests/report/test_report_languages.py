"""The page in every language: the same keys and gaps, known sentences, untouched names."""

# ruff: noqa: RUF001 (Japanese punctuation is meant)
from __future__ import annotations

import re
import string
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_reports import DIAGNOSTICS, made_report
from playwright.sync_api import Browser
from test_browser import WIDTHS, Axe, visit

from brainaligner.core import InputError
from brainaligner.evaluation import Diagnostic, Finding
from brainaligner.report import (
    LANGUAGES,
    Curve,
    Line,
    PublishedLayout,
    RunReport,
    Texts,
    page_texts,
    published_table,
    render_page,
)
from brainaligner.report._texts import Sentence, _catalogue

JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
OTHERS = [language for language in LANGUAGES if language != "en"]


def gaps(template: str) -> list[str]:
    """Names of the fields of a template."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


@pytest.fixture(scope="module")
def japanese() -> Texts:
    return page_texts("ja")


@pytest.mark.parametrize("language", OTHERS)
def test_catalogues_have_the_same_keys_and_gaps(language: str) -> None:
    english, own = _catalogue("en"), _catalogue(language)
    assert set(own) == set(english) == {"page", "said"}
    for section, texts in english.items():
        assert own[section].keys() == texts.keys()
        for key, text in texts.items():
            assert gaps(own[section][key]) == gaps(text), key
            assert own[section][key].strip(), key


def test_no_english_sentence_stands_under_two_keys() -> None:
    sentences = list(_catalogue("en")["said"].values())
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("key", sorted(_catalogue("en")["said"]))
def test_each_sentence_is_known_again_with_its_gaps_filled(japanese: Texts, key: str) -> None:
    english, own = (_catalogue(language)["said"][key] for language in ("en", "ja"))
    values = {
        name: str(7 + i) if name == "n" or name.startswith("n_") else f"Qx{i}"
        for i, name in enumerate(gaps(english))
    }
    assert japanese.said(english.format(**values)) == own.format(**values)


def test_english_says_every_sentence_as_it_is() -> None:
    english = page_texts()
    for text in ("mean r", "what nobody ever wrote here", "a: b; c", ""):
        assert english.said(text) == text
    assert english.told_html("a < b") == "a &lt; b"


def test_composed_texts_are_taken_apart_outside_brackets(japanese: Texts) -> None:
    texts = japanese.knowing({"es", "UTS01", "test"})
    assert texts.said("es, UTS01, test, 10 rows cut") == "es、UTS01、test、10 行を除去"
    assert texts.said("own (es, frozen); previous (text)") == (
        "その行の単語 (own)（es, frozen）；一つ前の行の単語 (previous)（text）"
    )
    assert texts.said("1e+04 (shared), 1 (shared)") == "1e+04（共通）、1（共通）"
    assert texts.said("es, UTS01, test") == "es, UTS01, test"


def test_names_are_never_translated(japanese: Texts) -> None:
    names = {"mean r", "noise", "none of these, at most 3 tokens", "voxels and words and more"}
    texts = japanese.knowing(names)
    assert all(texts.said(name) == name for name in names)
    assert texts.said("none of these, at most 3 tokens, 5 rows cut") == (
        "none of these, at most 3 tokens、5 行を除去"
    )
    assert japanese.said("mean r") == "平均 r"


def test_an_unknown_sentence_stays_english_and_says_so(japanese: Texts) -> None:
    unknown = "nobody has translated <this> sentence"
    assert japanese.said(unknown) is None
    assert japanese.told(unknown) == unknown
    marked = '<span lang="en">nobody has translated &lt;this&gt; sentence</span>'
    assert japanese.told_html(unknown) == marked
    assert japanese.said(f"chosen at the edge of its grid: {unknown}") is None
    assert japanese.said(f"12 rows cut; {unknown}") is None


def test_of_two_sentences_that_match_the_more_exact_one_counts() -> None:
    page = {f"separator.{name}": sign for name, sign in
            {"semicolon": "; ", "colon": ": ", "comma": ", "}.items()}  # fmt: skip
    pair = (Sentence("over {what}", "A {what}"), Sentence("over the hill of {what}", "B {what}"))
    for sentences in (pair, pair[::-1]):
        assert Texts("xx", page, sentences).said("over the hill of Qx") == "B Qx"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="ja"):
        render_page(made_report(), language="jp")


class Nodes(HTMLParser):
    """Texts of a page that stand in no element of another language, code or style."""

    EMPTY = ("meta", "link", "br", "img", "hr")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.language, self.texts = "", list[str]()
        self._open: list[tuple[str, bool]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.texts += [found["alt"] or ""] if "alt" in found else []
        if tag == "html":
            self.language = found["lang"] or ""
        if tag not in self.EMPTY:
            foreign = tag in ("style", "code") or found.get("lang", self.language) != self.language
            self._open.append((tag, foreign))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(foreign for _, foreign in self._open):
            self.texts.append(" ".join(data.split()))


def english_sentences(page: str, *, names: tuple[str, ...] = ()) -> list[str]:
    """Texts outside ``lang="en"`` that read as English: three words side by side, no Japanese."""
    found = []
    for text in Nodes(page).texts:
        if text.endswith("…") and any(name.startswith(text[:-1]) for name in names):
            continue  # a name that a figure has no room for
        bare = text
        for name in sorted(names, key=len, reverse=True):
            bare = bare.replace(name, "")
        parts = [part.split() for part in re.split("[;:,()；：、（）]", bare)]
        words = [[w for w in part if re.fullmatch("[A-Za-z]{2,}[.]?", w)] for part in parts]
        if not JAPANESE.search(bare) and any(len(part) >= 3 for part in words):
            found.append(text)
    return found


def told_report(kind: str) -> RunReport:
    """A report whose findings and diagnostics say what the program says."""
    findings = (
        Finding("fail", "null features", "no target could be scored: nothing varies"),
        Finding("note", "wheretheressmoke", "no noise ceiling: the files hold the mean over "
                "presentations and no single ones"),
        Finding("note", "UTS01", "12 NaN or infinite values were set to 0"),
    )  # fmt: skip
    diagnostics = (
        Diagnostic(10, "lag curve", "UTS01, validation", "PASS", "peak at 3 of 2 0.010, 3 0.020 "
                   "(bounds 2 to 3 TRs)", "r peaks where BOLD follows the words."),
        Diagnostic(4, "no brain reaches evaluation features", "", "NOT RUN", "not looked at",
                   "Nothing in this study lends itself to this check."),
    )  # fmt: skip
    about = (
        ("stories", "60 train, 8 validation, 8 test, 1 repeated test stories, drawn with seed 0"),
        ("clock", "previous"),
        ("delays", "2, 3, 4"),
        ("ridge", "one alpha for all targets by mean r on validation stories, penalty alpha "
         "||W||^2, features scaled within story, no intercept"),
    )  # fmt: skip
    made = made_report(kind, 9000 if kind == "voxels" else 200)
    return replace(made, findings=findings, diagnostics=diagnostics, about=about)


@pytest.fixture(scope="module")
def told() -> dict[str, RunReport]:
    return {kind: told_report(kind) for kind in ("components", "voxels")}


def own_names(report: RunReport) -> tuple[str, ...]:
    stories = [story for group in report.groups for story in (group.name, *group.stories)]
    return (report.title, report.study, *report.arms, *report.subjects, *stories)


@pytest.mark.parametrize("kind", ["components", "voxels"])
def test_a_japanese_page_has_no_english_sentence(told: dict[str, RunReport], kind: str) -> None:
    report = told[kind]
    arms = report.arms
    layout = PublishedLayout(2, {"0.15": arms[:1], "0.30": arms[1:2]}, {"0.15": arms[2:]})
    more = [("As the report's table 2", published_table(report, layout))]
    page = render_page(report, more=more, language="ja")
    assert Nodes(page).language == "ja"
    assert english_sentences(page, names=own_names(report)) == []
    assert '<span lang="en">' not in page
    english = render_page(report, more=more)
    assert len(english_sentences(english, names=own_names(report))) > 20


@pytest.mark.parametrize("kind", ["components", "voxels"])
def test_every_number_and_name_of_a_table_is_the_same_in_both(
    told: dict[str, RunReport], kind: str
) -> None:
    number = re.compile(r"-?\d+\.\d+|\d+ %")
    cell = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
    pages = [render_page(told[kind], language=language) for language in ("en", "ja")]
    english, japanese = ([number.findall(one) for one in cell.findall(page)] for page in pages)
    assert sum(map(len, english)) > 100
    assert english == japanese
    for name in (*told[kind].arms, *told[kind].subjects):
        assert all(name in page for page in pages)


@pytest.mark.parametrize("kind", ["components", "voxels"])
def test_every_figure_hands_out_the_same_data_in_both(
    told: dict[str, RunReport], kind: str
) -> None:
    link = re.compile(r'<a download="([^"]+)" href="([^"]+)">')
    english, japanese = (
        link.findall(render_page(told[kind], language=language)) for language in ("en", "ja")
    )
    assert len(english) >= 11
    assert english == japanese


def test_figures_say_in_japanese_what_they_say_in_english(told: dict[str, RunReport]) -> None:
    page = render_page(told["voxels"], language="ja")
    layer = "層ごとの平均 r、MiniLM（未訓練）、layer0 から layer3 まで"
    context = (
        "左文脈の行数 (TR) ごとの平均 r、チューニング es 後の MiniLM、シード 0、c0 から c3 まで"
    )
    losses = "エポックごとの損失、チューニング tuned、全参加者"
    for title in (layer, context, losses):
        assert re.search(f"<title id=[^>]*>{re.escape(title)}</title>", page), title
        assert f"<figcaption>{title}。" in page, title
    assert "層に対する平均 r：UTS01：0 で 0.040、1 で 0.070、2 で 0.090、3 で 0.060；" in page
    assert "シード 0（破線）：0.25 で 0.950" in page
    assert "、選ばれた値 1000。" in page
    one = told["voxels"].differences[0]
    assert f"{one.arm}、{one.subject}：{one.mean:.4f} [" in page
    assert "]、高い" in page
    assert "個で有意に低くなっています。差の平均は" in page
    assert '<span class="unseen">：差のマップ UTS01</span>' in page


def test_a_curve_that_nobody_translated_is_marked() -> None:
    curve = Curve("lag", "Said by <nobody> before", "x", "y", (Line("a", (0.0,), (0.1,)),),
                  "Nobody translated this note.")  # fmt: skip
    page = render_page(replace(made_report(), curves=(curve,)), language="ja")
    spans = ("Said by &lt;nobody&gt; before", "Nobody translated this note.")
    title, note = (f'<span lang="en">{text}</span>' for text in spans)
    assert f"<figcaption>{title}。{note}</figcaption>" in page


def test_what_nobody_translated_is_marked_on_the_page() -> None:
    report = replace(made_report(), diagnostics=DIAGNOSTICS)
    page = render_page(report, language="ja")
    assert '<span lang="en">The null mean .013 is 4.1 standard errors from 0.</span>' in page
    assert english_sentences(page, names=(*own_names(report), "layer 4")) == []


def test_print_opens_what_is_folded_away_but_not_settings(told: dict[str, RunReport]) -> None:
    report = replace(told["components"], methods=(("Text", "Words became states."),))
    folded, unfolded = (render_page(report, unfolded=state) for state in (False, True))
    assert "<details open>\n<summary>Methods, to paste</summary>" in unfolded
    assert "<details open>\n<summary>Methods, to paste</summary>" not in folded
    assert "<details>\n<summary>Study file</summary>" in unfolded
    bare = [page.replace("<details open>", "<details>") for page in (folded, unfolded)]
    assert bare[0] == bare[1]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_japanese_page_is_readable_in_a_browser(
    browser: Browser, told: dict[str, RunReport], tmp_path: Path, width: str
) -> None:
    page = render_page(told["voxels"], language="ja")
    seen = visit(browser, page, tmp_path, WIDTHS[width])
    assert seen.errors == []
    assert seen.page.evaluate("document.documentElement.lang") == "ja"
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    found = Axe().run(seen.page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    cut = seen.page.evaluate(
        """[...document.querySelectorAll('svg text')].filter(e => {
        const box = e.closest('svg').getBoundingClientRect(), own = e.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1;
        }).map(e => e.textContent)"""
    )
    assert cut == []
    seen.page.close()
