"""TextGrids against two other parsers, and cut short everywhere."""

from __future__ import annotations

from pathlib import Path

import parselmouth
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parselmouth.praat import call
from praatio import textgrid as praatio_textgrid

from brainaligner.core import InputError
from brainaligner.data import Interval, Tier, read_textgrid

SAVE = {
    "long": "Save as text file",
    "short": "Save as short text file",
    "chronological": "Save as chronological text file",
}


def praat_grid(label: str = 'he said "hi"') -> parselmouth.TextGrid:
    """Two interval tiers and a point tier, with traps in the labels."""
    grid = call("Create TextGrid", 0, 2.5, "phone word bell", "bell")
    for time, text in ((0.3, "P"), (1.0, "IY1"), (1.75, "!x <b> 3")):
        call(grid, "Insert boundary", 1, time)
        call(grid, "Set interval text", 1, call(grid, "Get number of intervals", 1) - 1, text)
    call(grid, "Insert boundary", 2, 1.25)
    call(grid, "Set interval text", 2, 1, label)
    call(grid, "Insert point", 3, 0.9, "ding")
    return grid


def as_parselmouth_reads(path: Path) -> list[list[tuple[float, float, str]]]:
    """All interval tiers, read by Praat itself."""
    grid = parselmouth.read(str(path))
    tiers = []
    for i in range(1, call(grid, "Get number of tiers") + 1):
        if call(grid, "Is interval tier", i):
            n = call(grid, "Get number of intervals", i)
            tiers.append(
                [
                    (
                        call(grid, "Get start time of interval", i, j),
                        call(grid, "Get end time of interval", i, j),
                        call(grid, "Get label of interval", i, j),
                    )
                    for j in range(1, n + 1)
                ]
            )
    return tiers


def as_we_read(path: Path) -> list[list[tuple[float, float, str]]]:
    return [
        [(found.start, found.end, found.label) for found in tier.intervals]
        for tier in read_textgrid(path)
        if not tier.is_points
    ]


@pytest.mark.parametrize("form", SAVE)
@pytest.mark.parametrize("label", ['he said "hi"', "déjà vu", "two\nlines", "語 12 <x>", ""])
def test_agrees_with_praat_on_what_praat_writes(tmp_path: Path, form: str, label: str) -> None:
    path = tmp_path / "a.TextGrid"
    call(praat_grid(label), SAVE[form], str(path))
    assert as_we_read(path) == as_parselmouth_reads(path)
    bell = read_textgrid(path)[2]
    assert bell == Tier("bell", 0.0, 2.5, (Interval(0.9, 0.9, "ding"),), is_points=True)


@pytest.mark.parametrize("form", ["long", "short"])
def test_agrees_with_praatio(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.TextGrid"
    call(praat_grid("plain"), SAVE[form], str(path))
    theirs = praatio_textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    for tier in read_textgrid(path):
        entries = theirs.getTier(tier.name).entries
        ours = [
            (i.start, i.label) if tier.is_points else tuple(vars(i).values())
            for i in tier.intervals
        ]
        assert ours == [tuple(entry) for entry in entries]


@pytest.mark.parametrize(
    "name",
    [
        "textgrids/lppEN_section1.TextGrid",
        "textgrids/lppEN_section3.TextGrid",
        "alice2016/alice_ch1.TextGrid",
    ],
)
def test_agrees_with_praatio_on_real_files(real_data: Path, name: str) -> None:
    theirs = praatio_textgrid.openTextgrid(str(real_data / name), includeEmptyIntervals=True)
    (tier,) = read_textgrid(real_data / name)
    entries = theirs.getTier(tier.name).entries
    assert len(entries) > 1500
    assert [(i.start, i.end, i.label.strip()) for i in tier.intervals] == [
        tuple(entry) for entry in entries
    ]


def test_chronological_equals_long_for_a_real_file(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "textgrids" / "lppEN_section3.TextGrid"
    path = tmp_path / "a.TextGrid"
    call(parselmouth.read(str(source)), SAVE["chronological"], str(path))
    assert as_we_read(path) == as_we_read(source)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", SAVE)
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, newline: str, form: str) -> None:
    path = tmp_path / "a.TextGrid"
    call(praat_grid("café"), SAVE[form], str(path))
    wanted = as_we_read(path)
    text = path.read_bytes().decode("utf-16").replace("\n", newline)
    if encoding == "utf-16-be-bom":
        path.write_bytes(b"\xfe\xff" + text.encode("utf-16-be"))
    else:
        path.write_bytes(text.encode(encoding))
    assert as_we_read(path) == wanted
    assert wanted[1][0][2] == "café"


def short_text(intervals: list[tuple[float, float, str]], xmax: float) -> str:
    body = "".join(
        f'{start!r}\n{end!r}\n"' + label.replace('"', '""') + '"\n'
        for start, end, label in intervals
    )
    return (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f'0\n{xmax!r}\n<exists>\n1\n"IntervalTier"\n"w"\n0\n{xmax!r}\n{len(intervals)}\n{body}'
    )


label_texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    labels=st.lists(label_texts, min_size=1, max_size=8),
    steps=st.lists(st.floats(0.001, 9.0), min_size=8, max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_label_survives(
    tmp_path: Path, labels: list[str], steps: list[float], encoding: str
) -> None:
    edges = [0.0]
    for step in steps[: len(labels)]:
        edges.append(edges[-1] + step)
    intervals = [(edges[i], edges[i + 1], label) for i, label in enumerate(labels)]
    path = tmp_path / "a.TextGrid"
    path.write_bytes(short_text(intervals, edges[-1]).encode(encoding))
    assert as_we_read(path) == [intervals]


@pytest.mark.parametrize("form", SAVE)
def test_a_file_cut_anywhere_never_loses_intervals_silently(tmp_path: Path, form: str) -> None:
    path = tmp_path / "whole.TextGrid"
    grid = call("Create TextGrid", 0, 2.5, "phone word", "")
    call(grid, "Insert boundary", 2, 1.25)
    call(grid, "Set interval text", 2, 2, "last")
    call(grid, SAVE[form], str(path))
    raw, whole = path.read_bytes(), as_we_read(path)
    cut = tmp_path / "cut.TextGrid"
    refused = 0
    for length in range(len(raw)):
        cut.write_bytes(raw[:length])
        try:
            found = as_we_read(cut)
        except InputError:
            refused += 1
        else:
            assert found == whole
    assert refused >= len(raw) - 8


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5000, 5001, 100_000, 250_001, 520_200])
def test_a_real_utf16_file_cut_short_is_refused(
    real_data: Path, tmp_path: Path, length: int
) -> None:
    raw = (real_data / "textgrids" / "lppEN_section3.TextGrid").read_bytes()
    path = tmp_path / "cut.TextGrid"
    path.write_bytes(raw[:length])
    with pytest.raises(InputError, match=r"cut\.TextGrid"):
        read_textgrid(path)


HEAD = '"ooTextFile"\n"TextGrid"\n0 2 <exists> 1\n'
FAULTS = {
    "empty": "",
    "white space": " \n\n",
    "other file": 'File type = "ooTextFile"\nObject class = "Sound"\n0 1',
    "a word table": "story,word,onset_s,offset_s\na,b,1,2\n",
    "html": "<html><body>404</body></html>",
    "unknown tier": HEAD + '"WordTier" "w" 0 2 1 0 2 "a"',
    "fewer intervals": HEAD + '"IntervalTier" "w" 0 2 2 0 2 "a"',
    "more intervals": HEAD + '"IntervalTier" "w" 0 2 1 0 1 "a" 1 2 "b"',
    "fewer tiers": HEAD.replace("> 1", "> 2") + '"IntervalTier" "w" 0 2 1 0 2 "a"',
    "no closing quote": HEAD + '"IntervalTier" "w" 0 2 1 0 2 "a',
    "a single quote inside": HEAD + '"IntervalTier" "w" 0 2 1 0 2 "a"b"',
    "a text for a number": HEAD + '"IntervalTier" "w" 0 2 1 0 "2" "a"',
    "a number for a text": HEAD + '"IntervalTier" "w" 0 2 1 0 2 7',
    "no number": HEAD + '"IntervalTier" "w" 0 2 1 0 2x "a"',
    "undefined": HEAD + '"IntervalTier" "w" 0 2 1 0 --undefined-- "a"',
    "half an interval": HEAD + '"IntervalTier" "w" 0 2 1.5 0 2 "a"',
    "negative count": HEAD + '"IntervalTier" "w" 0 2 -1',
    "backwards": HEAD + '"IntervalTier" "w" 0 2 1 2 1 "a"',
    "chronological, wrong tier": '"Praat chronological TextGrid text file"\n'
    '0 2 1 "IntervalTier" "w" 0 2\n2 0 2 "a"',
    "chronological, does not reach the end": '"Praat chronological TextGrid text file"\n'
    '0 2 1 "IntervalTier" "w" 0 2\n1 0 1 "a"',
    "chronological, no interval": '"Praat chronological TextGrid text file"\n'
    '0 2 1 "IntervalTier" "w" 0 2\n',
    "chronological, no tier number": '"Praat chronological TextGrid text file"\n'
    '0 2 1 "IntervalTier" "w" 0 2\n"a" 1',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_files_are_refused_by_name(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "faulty.TextGrid"
    path.write_text(FAULTS[fault], encoding="utf-8")
    with pytest.raises(InputError, match=r"faulty\.TextGrid"):
        read_textgrid(path)


def test_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(HEAD + '"IntervalTier" "w"\n0 2\n1 0\nx 2 7\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 7"):
        read_textgrid(path)


def test_missing_and_not_downloaded_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_textgrid(tmp_path / "none.TextGrid")
    link = tmp_path / "link.TextGrid"
    link.symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    with pytest.raises(InputError, match="not downloaded"):
        read_textgrid(link)
    pointer = tmp_path / "pointer.TextGrid"
    pointer.write_text("/annex/objects/MD5E-s872355--24e95f7d.TextGrid\n", encoding="utf-8")
    with pytest.raises(InputError, match="not downloaded"):
        read_textgrid(pointer)


def test_a_grid_without_tiers(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text('"ooTextFile" "TextGrid" 0 2 <absent>', encoding="utf-8")
    assert read_textgrid(path) == ()


@pytest.mark.parametrize("number", ["1\u00b2", "1" * 5000])
def test_a_tier_number_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    path = tmp_path / "odd.TextGrid"
    head = '"Praat chronological TextGrid text file"\n0 1\n1\n"IntervalTier" "word" 0 1\n'
    path.write_text(head + f'{number} 0 1\n"hi"\n', encoding="utf-8")
    with pytest.raises(InputError, match="where a tier's number should stand"):
        read_textgrid(path)
