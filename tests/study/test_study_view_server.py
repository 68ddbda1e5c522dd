"""The explorer's server: what it answers, what it refuses, and to whom."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from study_trees import Cli, command, environment
from view_trees import asked, stories_of

from brainaligner.core import InputError
from brainaligner.study._view_data import RunView
from brainaligner.study._view_server import explorer_server


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


def test_a_taken_port_is_one_clear_line(cli: Cli, placed: Path, port: int) -> None:
    done = cli("view", placed, "--no-browser", "--port", str(port))
    assert done.code == 2
    assert "a port of this machine that is free" in done.lines[-1]
