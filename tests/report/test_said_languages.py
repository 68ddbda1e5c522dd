"""What the other rooms say to the page, sentence by sentence, against the page's languages."""

# ruff: noqa: RUF001 (Japanese punctuation is meant)
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from said_sources import GAP, Module, Said, Sources, filled
from test_report_languages import JAPANESE, OTHERS, english_sentences, own_names, told_report

import brainaligner
from brainaligner.evaluation import FAULTS, WARNINGS, Audit, Fault, Unproven, make_audit
from brainaligner.report import RunReport, Texts, page_texts, render_page
from brainaligner.study._audit_words import audit_diagnostics, audit_findings, audit_words

ROOT = Path(brainaligner.__file__).parent
MODULES = tuple(
    Module(path) for room in ("evaluation", "study") for path in sorted((ROOT / room).glob("*.py"))
)
FAULT = {"name": (0, "name"), "where": (1, "where"), "figure": (2, "figure")}
SPEAKERS = {
    "Fault": FAULT | {"sentence": (3, "sentence")},
    "Unproven": {"name": (0, "name"), "where": (1, "where"), "sentence": (2, "reason")},
    "Finding": {"where": (1, "where"), "sentence": (2, "text")},
}
MADE = {"made": {"where": (1, "where"), "figure": (3, "figure"), "sentence": (4, "advice")}}
SOURCES = Sources(MODULES, SPEAKERS)
DIAGNOSTICS = Sources(MODULES, MADE)
FILLINGS = ("7", "Qx")
ERROR = "rows of a story: got (3, 4); wanted as many. Read the file again (see the log)."


def all_said() -> list[Said]:
    """What the sources say, call by call: faults, findings and diagnostics."""
    diagnosed = [module for module in MODULES if module.path.stem.startswith("_diagnostic")]
    return [
        *(said for module in MODULES for said in SOURCES.said(module)),
        *(said for module in diagnosed for said in DIAGNOSTICS.said(module)),
    ]


def spoken(said: Said) -> Iterator[str]:
    """What reaches the page of one call: of a warning no figure, of a name nothing."""
    warns = said.texts.get("name", frozenset()) <= WARNINGS.keys() and "name" in said.texts
    for what, texts in said.texts.items():
        if what != "name" and not (what == "figure" and warns):
            yield from (text.strip() for text in sorted(texts))


def has_words(text: str) -> bool:
    """Whether a source says any word itself: no file, no array and no identifier."""
    bare = re.sub(r"\S*[._/]\S*|\w*-\w[\w-]*", "", text.replace(GAP, "7"))
    return re.search("[A-Za-z]{2,} [A-Za-z]", bare) is not None


def is_told(texts: Texts, text: str) -> bool:
    """Whether a text is known with its gaps filled in any way, and said in Japanese."""
    own = [texts.said(one) for one in filled(text, FILLINGS)]
    return any(one is not None and (JAPANESE.search(one) or not has_words(text)) for one in own)


@pytest.fixture(scope="module")
def japanese() -> Texts:
    return page_texts("ja")


@pytest.mark.parametrize("said", all_said(), ids=lambda said: said.place)
def test_all_that_a_source_says_has_a_japanese_text(japanese: Texts, said: Said) -> None:
    untold = [text for text in spoken(said) if not is_told(japanese, text)]
    assert untold == [], "add them to the part `said` of report/texts/en.json and ja.json"


def test_the_walk_reads_every_fault_and_finding() -> None:
    named = re.compile(r"\b(?:Fault|Unproven|Finding)\((?!\*)")
    for module in MODULES:
        written = [
            number
            for number, line in enumerate(module.path.read_text("utf-8").splitlines(), start=1)
            if named.search(line) and "class " not in line
        ]
        assert set(written) <= module.lines_of(SPEAKERS), module.path.name
    sentences = {text for said in all_said() for text in said.texts.get("sentence", ())}
    mute = {said.place for said in all_said() if GAP in said.texts.get("sentence", ())}
    assert {place.partition(":")[0] for place in mute} == {"_audit.py"}  # sorts what others say
    assert len(sentences) > 150


def test_a_fault_that_nobody_translated_is_found(japanese: Texts, tmp_path: Path) -> None:
    path = tmp_path / "_audit_new.py"
    path.write_text(
        """
ODD = {"fit": "rows nobody fitted were found", "choose": "nobody chose these rows"}

def faults(arm, rows):
    said = "the numbers of it are odd" if rows else "has the words of nobody"
    yield Fault("lineage-differs", arm.where, f"{len(rows)} odd things", said)
    yield _fault(arm.where, flaw(rows))
    yield Fault(name="subject-twice", where="", figure="7", sentence="they are one and the same")
    yield Fault("subject-twice", arm.where, "7", ODD[arm.role])

def flaw(rows) -> str:
    return "" if rows else f"made of {rows} by hand"

def _fault(where, sentence):
    return Fault("lineage-differs", where, "brain vectors", sentence)
""",
        encoding="utf-8",
    )
    module = Module(path)
    said = Sources((*MODULES, module), SPEAKERS).said(module)
    untold = {text for one in said for text in spoken(one) if not is_told(japanese, text)}
    assert {text.replace(GAP, "…") for text in untold} == {
        "the numbers of it are odd",
        "… odd things",
        "made of … by hand",
        "they are one and the same",
        "rows nobody fitted were found",
        "nobody chose these rows",
    }


@pytest.mark.parametrize("language", OTHERS)
def test_every_verdict_of_an_audit_is_said(language: str) -> None:
    texts = page_texts(language)
    for name in FAULTS:
        audit = make_audit([Fault(name, "", "", "")])
        said = texts.said(audit_words(audit))
        assert said is not None
        assert name in said
        assert FAULTS[name] not in said
    whole = texts.said(audit_words(make_audit([Fault(name, "", "", "") for name in FAULTS])))
    assert whole is not None
    assert whole.count("；") == len(FAULTS) - 1


def known_audit() -> Audit:
    """An audit that found all that the sources can say, and checks that met errors."""
    found: list[Fault | Unproven] = []
    for said in all_said():
        where = sorted(said.texts.get("where", {"Qx, Qy"}))[0].replace(GAP, "Qx")
        sentences = sorted(known(text) for text in said.texts.get("sentence", set()) - {GAP})
        if said.speaker == "Unproven":
            found += [Unproven("lineage", where, sentence) for sentence in sentences]
        if said.speaker == "Fault":
            names = said.texts.get("name", set()) & (FAULTS.keys() | WARNINGS.keys())
            figures = [known(text) for text in said.texts.get("figure", {"7"})]
            found += [
                Fault(name, where, figure, sentence)
                for name in names or {"lineage-differs"}
                for figure in figures
                for sentence in sentences
            ]
    found += [
        Fault("unwitnessed", "Qx, Qy: readout", "0a1b", f"the record of what entered is damaged "
              f"({ERROR})"),
        Fault("check-failed", "Qx", "KeyError", f"the check of rows broke off: {ERROR}"),
        Unproven("designs", "Qx, Qy", f"features could not be read ({ERROR})"),
        Unproven("features", "features Qx, Qy", f"the model could not be run again ({ERROR})"),
    ]  # fmt: skip
    return make_audit(found, keep=len(found))


def known(text: str) -> str:
    """A text with its gaps filled so that it makes sense."""
    texts = page_texts("ja")
    ways = list(filled(text.strip(), FILLINGS))
    return next((one for one in ways if JAPANESE.search(texts.told(one))), ways[0])


def audited_report(audit: Audit) -> RunReport:
    return replace(
        told_report("components"),
        audit=audit_words(audit),
        findings=audit_findings(audit),
        diagnostics=audit_diagnostics(audit),
    )


def test_a_page_of_a_run_that_is_not_valid_has_no_english_sentence() -> None:
    audit = known_audit()
    report = audited_report(audit)
    assert audit.verdict == "FAIL"
    assert len({fault.sentence for fault in audit.faults}) > 80
    page = render_page(report, language="ja")
    assert english_sentences(page, names=own_names(report)) == []
    assert '<span lang="en">' not in page
    assert page.count(ERROR) == render_page(report).count(ERROR) >= 4
    for name in {fault.name for fault in (*audit.faults, *audit.warnings)}:
        assert name in page


@pytest.mark.parametrize(
    "found",
    [
        Unproven("features", "features Qx", f"the model could not be run again ({ERROR})"),
        Unproven("witness", "Qx, Qy: readout", "made by an older version, which kept no witness"),
        Fault("check-failed", "Qx", "KeyError", "the check of rows broke off: "),
        Fault("unwitnessed", "Qx", "0a1b", f"the record of what entered is damaged ({ERROR})"),
    ],
    ids=lambda found: found.name,
)
def test_advice_that_follows_from_an_audit_is_said(found: Fault | Unproven) -> None:
    report = audited_report(make_audit([found]))
    page = render_page(report, language="ja")
    assert english_sentences(page, names=own_names(report)) == []
    assert '<span lang="en">' not in page


@pytest.mark.parametrize(
    ("english", "own"),
    [
        ("features are those of es (es)", "es の特徴量です（es）"),
        (
            "lineage-differs: rows are the dataset's, put together anew (5 rows)",
            "lineage-differs：データセットの行が、並べ直されています（5 行）",
        ),
        (
            "a design of shape (120, 5) follows from words and features (shape (120, 4))",
            "単語と特徴量から得られるデザイン行列の形は (120, 5) です（形 (120, 4)）",
        ),
        (
            "training designs are not those that were decomposed (another form) (decomposition)",
            "訓練のデザイン行列が、分解されたものと異なります（別の形式）（分解）",
        ),
        (
            "words of the scored story es entered as en (fit) (30% of its words)",
            "評価する物語 es の単語が、en として入力されました（当てはめ）（その単語の 30%）",
        ),
        (
            "test-rows-in-fit: es of UTS01 has the same content (readout, fitted_on)",
            "test-rows-in-fit：UTS01 の es が同じ内容です（readout, fitted_on）",
        ),
        ("es (fit), UTS01 (choose), en (predict)", "es（当てはめ）、UTS01（選択）、en（予測）"),
        ("UTS01, es, parts that were scored (score)", "UTS01、es、評価した部分（評価）"),
        (
            "no-memory: no fMRI looks so: rows may have been shuffled",
            "no-memory：このような fMRI はありません。行が並べ替えられたのかもしれません",
        ),
        (
            "the check of subjects and stories broke off: a (b)",
            "検査「参加者と物語」が途中で止まりました：a (b)",
        ),
        ("es, all subjects, seed 0, fold 1 of 5", "es、全参加者、シード 0、分割 1/5"),
        ("features bert (untrained, seed 3), es", "特徴量 bert（未訓練、シード 3）、es"),
        ("0.123, not 0.124", "0.123、正しくは 0.124"),
        (
            f"check-failed: the check of rows broke off: {ERROR}",
            f"check-failed：検査「rows」が途中で止まりました：{ERROR}",
        ),
        (
            "features could not be read (a; b (c; d): e)",
            "特徴量を読めませんでした（a; b (c; d): e）",
        ),
    ],
)
def test_brackets_at_the_end_and_errors_are_told_apart(
    japanese: Texts, english: str, own: str
) -> None:
    assert japanese.said(english) == own
