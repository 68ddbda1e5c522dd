"""The explorer: its numbers against the run's own files, its server, its page in a browser."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from study_trees import (
    Cli,
    StudyFile,
    command,
    environment,
    merged,
    run_process,
    save_study,
    tiny_study,
)

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.report import cortex_mesh, fsaverage5_coordinates
from brainaligner.study._disk import read_column, write_npz
from brainaligner.study._progress import reporting
from brainaligner.study._reopened import reopen_run
from brainaligner.study._view_data import RunView
from brainaligner.study._view_server import explorer_server

WIDTHS = {"desktop": 1280, "phone": 390}
TREE = {"n_voxels": [180, 160], "signal": [1.5, 1.2], "n_repeats": 3, "n_directions": 4}


@pytest.fixture(scope="module")
def placed(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on simulated listeners whose voxels lie on the cortex."""
    folder = tmp_path_factory.mktemp("placed")
    changes: dict[str, Any] = {
        "dataset": {
            "folder": None,
            "reader": "simulated",
            "simulation": {"features": "one", "tree": TREE},
        },
        "split": {"counts": [8, 2, 3]},
    }
    study = merged(tiny_study(checkpoint, folder), changes)
    study["dataset"].pop("folder", None)
    done = run_process("run", save_study(folder / "study.yaml", study), "--out", folder / "out")
    assert done.code == 0, done.err
    return folder / "out" / "tiny"


@pytest.fixture(scope="module")
def view(placed: Path) -> RunView:
    with reporting() as reporter:
        plan, store = reopen_run(placed, data=None, out=None, reporter=reporter)
    return RunView(placed, plan, store)


@pytest.fixture(scope="module")
def port(view: RunView) -> Iterator[int]:
    with explorer_server(view) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def asked(port: int, path: str, *, host: str = "127.0.0.1", **query: Any) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    address = f"{path}?{urlencode(query, doseq=True)}" if query else path
    connection.request("GET", address, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def stories_of(view: RunView, subject: str, group: str) -> list[str]:
    groups = view.about()["subjects"][subject]["groups"]
    return next(one["stories"] for one in groups if one["name"] == group)


def test_time_courses_give_the_scores_of_the_run(view: RunView, placed: Path) -> None:
    """Courses of all stories together, correlated here, are the r of scores.npz."""
    with np.load(placed / "scores.npz", allow_pickle=False) as archive:
        wanted = archive["second/SIM02/test/cut0"]
    stories = stories_of(view, "SIM02", "test")
    for target in (0, 17, 159):
        courses = [view.series("SIM02", story, target, ["second"]) for story in stories]
        predicted = np.concatenate([course["predicted"]["second"] for course in courses])
        measured = np.concatenate([course["measured"] for course in courses])
        assert np.corrcoef(predicted, measured)[0, 1] == pytest.approx(wanted[target], abs=2e-3)
    shown = view.scores("second", "SIM02", "test")
    np.testing.assert_array_equal(shown, wanted.astype(np.float32))


def test_a_study_without_whole_stories_shows_what_it_has(
    cli: Cli, study_file: StudyFile, tmp_path: Path
) -> None:
    study = study_file({"evaluation": {"cuts": [2, 3]}})
    assert cli("run", study, "--out", tmp_path / "out").code == 0
    run = tmp_path / "out" / "tiny"
    with reporting() as reporter:
        plan, store = reopen_run(run, data=None, out=None, reporter=reporter)
    view = RunView(run, plan, store)
    assert view.about()["rows_cut"] == 2
    with np.load(run / "scores.npz", allow_pickle=False) as archive:
        wanted = archive["first/P1/test/cut2"].astype(np.float32)
    np.testing.assert_array_equal(view.scores("first", "P1", "test"), wanted)


def test_words_stand_in_the_rows_in_which_they_began(view: RunView) -> None:
    story = stories_of(view, "SIM01", "test")[0]
    dataset = view.plan.prepared.dataset
    transcript, clock = dataset.transcript(story), dataset.clock
    shown = view.series("SIM01", story, 0, [])
    edges = np.array(shown["times"]) - clock.tr / 2
    for row in (0, 1, len(edges) // 2, len(edges) - 1):
        began = (transcript.onsets >= edges[row]) & (transcript.onsets < edges[row] + clock.tr)
        words = [word for word, own in zip(transcript.words, began, strict=True) if own]
        assert shown["words"][row] == " ".join(words)


def test_a_vertex_gives_the_targets_that_lie_there(view: RunView) -> None:
    vertices = view.plan.prepared.dataset.space("SIM01").vertices
    assert vertices is not None
    places = cortex_mesh().coordinates
    for vertex in (int(vertices[vertices >= 0][0]), 0, 20_000):
        found = view.targets_at("SIM01", vertex)
        distance = np.linalg.norm(places - places[vertex], axis=1)[vertices]
        distance[vertices < 0] = np.inf
        assert distance[found].max() == distance.min()


def test_the_mesh_is_fsaverage5_with_its_halves_apart() -> None:
    mesh = cortex_mesh()
    n = len(fsaverage5_coordinates())
    assert mesh.coordinates.shape == (n, 3)
    assert mesh.coordinates[: n // 2, 0].max() < 0 < mesh.coordinates[n // 2 :, 0].min()
    assert set(mesh.faces.ravel().tolist()) == set(range(n))
    assert 0.3 < mesh.sulci.mean() < 0.7


def test_a_dataset_of_one_story_is_shown_with_its_folds(finished: Path) -> None:
    with reporting() as reporter:
        plan, store = reopen_run(finished / "tiny", data=None, out=None, reporter=reporter)
    view = RunView(finished / "tiny", plan, store)
    about = view.about()
    subject = next(iter(about["subjects"]))
    assert about["subjects"][subject]["cortex"]
    with pytest.raises(InputError, match="place on the cortex"):
        view.painted("first", subject, "test")


def test_columns_are_those_of_the_matrix(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.standard_normal((7, 5)).astype(np.float32),
        "b": np.asfortranarray(rng.standard_normal((3, 9))),
    }
    write_npz(tmp_path / "x.npz", arrays)
    for name, matrix in arrays.items():
        for column in (0, 2, matrix.shape[1] - 1):
            np.testing.assert_array_equal(
                read_column(tmp_path / "x.npz", name, column), matrix[:, column]
            )
    np.savez_compressed(tmp_path / "c.npz", a=arrays["a"])
    with pytest.raises(BrainAlignerError, match="damaged artifact"):
        read_column(tmp_path / "c.npz", "a", 0)


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("scores", {}, "one arm"),
        ("scores", {"arm": "frist", "subject": "SIM01", "group": "test"}, "'first'"),
        ("scores", {"arm": "first", "subject": "SIM01", "group": "../x"}, "group of stories"),
        ("scores", {"arm": ["first", "second"], "subject": "SIM01", "group": "test"}, "one arm"),
        ("painted", {"arm": "first", "subject": "SIM9", "group": "test"}, "subject"),
        ("series", {"subject": "SIM01", "story": "no", "target": "0"}, "scored story"),
        ("series", {"subject": "SIM01", "story": "STORY", "target": "-1"}, "a number"),
        ("series", {"subject": "SIM01", "story": "STORY", "target": "180"}, "0 to 179"),
        ("series", {"subject": "SIM01", "story": "STORY", "target": "0", "arm": "x"}, "arm"),
        ("targets", {"subject": "SIM01", "vertex": "99999999"}, "vertex"),
        ("targets", {"subject": "SIM01", "vertex": "٣"}, "a number"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_requests_are_answered_with_what_is_wrong(
    view: RunView, port: int, path: str, query: dict[str, Any], says: str
) -> None:
    if query.get("story") == "STORY":
        query = query | {"story": stories_of(view, "SIM01", "test")[0]}
    status, body = asked(port, f"/api/{path}", **query)
    assert status == 400
    assert says in json.loads(body)["error"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/../study.yaml", "/explorer/explorer.js", "/api"])
def test_only_known_addresses_are_answered(port: int, path: str) -> None:
    assert asked(port, path)[0] == 404


def test_the_server_listens_on_the_loopback_address_and_under_its_name_alone(
    view: RunView, port: int
) -> None:
    with explorer_server(view) as server:
        assert server.server_address[0] == "127.0.0.1"
    assert asked(port, "/api/about")[0] == 200
    assert asked(port, "/api/about", host="localhost")[0] == 200
    assert asked(port, "/api/about", host="evil.example")[0] == 403


def test_a_taken_port_is_refused(view: RunView, port: int) -> None:
    with pytest.raises(InputError, match="free"):
        explorer_server(view, port=port)
    with pytest.raises(InputError, match="free"):
        explorer_server(view, port=70_000)


def test_test_stories_alone_can_be_seen(view: RunView, port: int) -> None:
    trained = view.plan.prepared.division.splits["SIM01"].train[0]
    status, body = asked(port, "/api/series", subject="SIM01", story=trained, target=0)
    assert status == 400
    assert "scored story" in json.loads(body)["error"]


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


def test_no_serious_accessibility_finding(opened: tuple[Page, list[str], list[str]]) -> None:
    found = Axe().run(opened[0]).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)[:2000]


def test_the_command_serves_until_it_is_stopped(placed: Path) -> None:
    process = subprocess.Popen(
        command("view", placed, "--no-browser"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w-]{20,}/)", line)
    assert found, process.communicate()
    status, body = asked(int(found[1]), f"{found[2]}api/about")
    guessed = [asked(int(found[1]), path)[0] for path in ("/", "/api/about", "/x/api/about")]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert status == 200
    assert guessed == [404, 404, 404]
    assert json.loads(body)["study"] == "tiny"
    assert process.returncode == 0, said
    assert "Traceback" not in said


def raw(port: int, request: bytes) -> bytes:
    """What comes back for bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET //[ HTTP/1.1", b"404"),
        ("GET http://[::1/ HTTP/1.1", b"400"),
        ("GET /api/about HTTP/1.1", b"200"),
        ("GET /api/../api/about HTTP/1.1", b"404"),
        ("GET /%2e%2e/study.yaml HTTP/1.1", b"404"),
        ("GET /api/about%00 HTTP/1.1", b"404"),
        ("POST /api/about HTTP/1.1", b"501"),
        ("GET /" + "a" * 70_000 + " HTTP/1.1", b"414"),
    ],
)
def test_strange_requests_are_answered_and_leave_the_server_up(
    port: int, request_line: str, status: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    answer = raw(port, f"{request_line}\r\n{host}".encode())
    assert answer.split(b" ", 2)[1] == status
    assert asked(port, "/api/about")[0] == 200
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1.evil.example", "evil.example:80", "127.0.0.1@evil.example", "[::1]"]
)
def test_no_other_name_is_answered_to(port: int, host: str) -> None:
    answer = raw(
        port, f"GET /api/about HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split(b" ", 2)[1] == b"403"
    assert b"SIM01" not in answer


def test_what_breaks_inside_is_said_to_the_page(
    view: RunView, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that went away, say, while the explorer was open."""

    def gone(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "recordings")

    monkeypatch.setattr(RunView, "series", gone)
    story = stories_of(view, "SIM01", "test")[0]
    status, body = asked(port, "/api/series", subject="SIM01", story=story, target=0)
    assert status == 500
    assert "No such file" in json.loads(body)["error"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_browser_that_leaves_prints_no_traceback(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(
                f"GET /plotly.js HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
            )
            linger = struct.pack("ii", 1, 0)  # a reset in place of a farewell
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert asked(port, "/api/about")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_an_arm_asked_for_many_times_is_read_once(
    view: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    predicted = RunView._predicted

    def counted(self: RunView, arm: str, *where: Any) -> Any:
        read.append(arm)
        return predicted(self, arm, *where)

    monkeypatch.setattr(RunView, "_predicted", counted)
    story = stories_of(view, "SIM01", "test")[0]
    found = view.series("SIM01", story, 0, ["first"] * 1000)
    assert read == ["first"]
    assert list(found["predicted"]) == ["first"]


def reopened(folder: Path) -> RunView:
    with reporting() as reporter:
        plan, store = reopen_run(folder, data=None, out=None, reporter=reporter)
    return RunView(folder, plan, store)


def test_a_run_of_an_earlier_version_is_shown_without_its_audit(out: Path) -> None:
    path = out / "tiny" / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for key in ("audit", "study"):
        del record[key]
    path.write_text(json.dumps(record), encoding="utf-8")
    about = reopened(out / "tiny").about()
    assert (about["audit"], about["study"]) == ("not judged", "tiny")


def test_scores_of_other_data_are_refused(out: Path) -> None:
    opened = reopened(out / "tiny")
    with np.load(out / "tiny" / "scores.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["first/P1/test/cut0"] = arrays["first/P1/test/cut0"][:-1]
    write_npz(out / "tiny" / "scores.npz", arrays)
    with pytest.raises(InputError, match="5 scores, and data of 6 targets"):
        opened.scores("first", "P1", "test")


def test_a_run_that_was_moved_alone_is_refused_and_nothing_is_made(
    cli: Cli, placed: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(placed, tmp_path / "elsewhere" / "tiny")
    done = cli("view", moved, "--no-browser")
    assert done.code == 2
    assert "the store that the run was made in" in done.lines[-1]
    assert [path.name for path in moved.parent.iterdir()] == ["tiny"]
    with reporting() as reporter:
        plan, store = reopen_run(moved, data=None, out=placed.parent, reporter=reporter)
    assert RunView(moved, plan, store).about()["study"] == "tiny"


def test_data_that_went_away_are_named(cli: Cli, out: Path, tmp_path: Path) -> None:
    done = cli("view", out / "tiny", "--no-browser", "--data", tmp_path / "gone")
    assert done.code == 2
    assert "gone" in done.lines[-1]


def test_a_half_finished_run_is_refused(cli: Cli, out: Path) -> None:
    (out / "tiny" / "run.json").unlink()
    done = cli("view", out / "tiny", "--no-browser")
    assert done.code == 2
    assert "no run.json" in done.lines[-1]


def test_a_taken_port_is_one_clear_line(cli: Cli, placed: Path, port: int) -> None:
    done = cli("view", placed, "--no-browser", "--port", str(port))
    assert done.code == 2
    assert "a port of this machine that is free" in done.lines[-1]


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


def test_a_run_without_its_predictions_says_what_to_do(
    cli: Cli, placed: Path, tmp_path: Path
) -> None:
    assert cli("view", tmp_path / "nothing").code == 2
    out = shutil.copytree(placed.parent, tmp_path / "out")
    shutil.rmtree(out / "store" / "readout")
    with reporting() as reporter:
        plan, store = reopen_run(out / "tiny", data=None, out=None, reporter=reporter)
    lacking = RunView(out / "tiny", plan, store)
    with pytest.raises(InputError, match="Run the study again"):
        lacking.series("SIM01", stories_of(lacking, "SIM01", "test")[0], 0, ["first"])
