"""The explorer's server: a few fixed addresses, on the loopback address alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._view_data import RunView

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_STATIC = {
    "/": ("explorer.html", "text/html; charset=utf-8"),
    "/explorer.js": ("explorer.js", "text/javascript; charset=utf-8"),
    "/explorer.css": ("explorer.css", "text/css; charset=utf-8"),
}
_JSON, _FLOATS = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    body : bytes
    kind : str
        Media type.
    """

    body: bytes
    kind: str


_Answering = Callable[[Mapping[str, list[str]]], Answer]


def explorer_server(view: RunView, *, port: int = 0, secret: str = "") -> ThreadingHTTPServer:
    """Open the explorer's server; `serve_forever` answers.

    It listens on 127.0.0.1 and refuses requests under any other name, so that no page of another
    site can read a run through the browser.

    Parameters
    ----------
    view : RunView
    port : int
        0 takes a free one.
    secret : str
        Where given, addresses begin with it, so that other users of the machine cannot guess them.

    Raises
    ------
    InputError
        If the port cannot be had, or plotly is not installed.
    """
    routes = {f"/{secret}{path}" if secret else path: answer for path, answer in _routes(view)}
    handler = partial(_Handler, routes)
    try:
        return _Server((LOOPBACK, port), handler)
    except (OSError, OverflowError) as error:
        raise InputError(
            "--port",
            got=f"{port}: {error}",
            wanted="a port of this machine that is free",
            do="Leave it out to have one chosen.",
        ) from error


def _routes(view: RunView) -> Iterable[tuple[str, _Answering]]:
    drawing = Answer(_plotly().encode(), "text/javascript; charset=utf-8")
    about = _as_json(view.about())

    def scores(asked: Mapping[str, list[str]]) -> Answer:
        return _as_floats(view.scores(*_named(asked, "arm", "subject", "group")))

    def painted(asked: Mapping[str, list[str]]) -> Answer:
        return _as_floats(view.painted(*_named(asked, "arm", "subject", "group")))

    def series(asked: Mapping[str, list[str]]) -> Answer:
        subject, story = _named(asked, "subject", "story")
        return _as_json(view.series(subject, story, _number(asked, "target"), asked.get("arm", [])))

    def targets(asked: Mapping[str, list[str]]) -> Answer:
        (subject,) = _named(asked, "subject")
        return _as_json(view.targets_at(subject, _number(asked, "vertex")))

    return (
        *((path, partial(_constant, _static(*found))) for path, found in _STATIC.items()),
        ("/plotly.js", partial(_constant, drawing)),
        ("/api/about", partial(_constant, about)),
        ("/api/mesh", lambda _: _as_json(view.mesh)),
        ("/api/scores", scores),
        ("/api/painted", painted),
        ("/api/series", series),
        ("/api/targets", targets),
    )


def _plotly() -> str:
    try:
        offline = import_module("plotly.offline")
    except ImportError as error:
        raise InputError(
            "view",
            got="no plotly",
            wanted="the package that draws the explorer",
            do="pip install 'brainaligner[view]'.",
        ) from error
    return str(offline.get_plotlyjs())


def _static(name: str, kind: str) -> Answer:
    return Answer((files("brainaligner.study") / "explorer" / name).read_bytes(), kind)


def _constant(answer: Answer, _: Mapping[str, list[str]]) -> Answer:
    return answer


def _as_json(content: object) -> Answer:
    return Answer(json.dumps(content, allow_nan=False).encode(), _JSON)


def _as_floats(values: np.ndarray) -> Answer:
    """Little-endian float32: JSON of 90,000 numbers takes longer than all else."""
    return Answer(values.astype("<f4").tobytes(), _FLOATS)


def _named(asked: Mapping[str, list[str]], *names: str) -> list[str]:
    missing = [name for name in names if len(asked.get(name, [])) != 1]
    if missing:
        raise InputError(
            "view",
            got=f"a request with {', '.join(asked) or 'nothing'}",
            wanted=f"one {missing[0]}",
            do="Ask with all of: " + ", ".join(names) + ".",
        )
    return [asked[name][0] for name in names]


def _number(asked: Mapping[str, list[str]], name: str) -> int:
    text = _named(asked, name)[0]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InputError("view", got=f"{name}={text!r}", wanted="a number", do="Give digits.")
    return int(text)


class _Server(ThreadingHTTPServer):
    """Takes no notice of a browser that goes away in the middle of an answer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless it is the other side that left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET at the known addresses."""

    timeout = 60  # seconds that a connection may stay silent
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "brainaligner", ""

    def __init__(self, routes: Mapping[str, _Answering], *args: Any) -> None:
        self.routes = routes
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer, or say what is wrong."""
        try:
            address = urlsplit(self.path)
        except ValueError:
            self._send(HTTPStatus.BAD_REQUEST, _error("this is no address"))
            return
        if self.headers.get("Host", "").partition(":")[0] not in _NAMES:
            self._send(HTTPStatus.FORBIDDEN, _error("this server answers to 127.0.0.1 alone"))
        elif address.path not in self.routes:
            self._send(HTTPStatus.NOT_FOUND, _error(f"there is no {address.path}"))
        else:
            self._answer(address.path, parse_qs(address.query))

    def _answer(self, path: str, asked: Mapping[str, list[str]]) -> None:
        try:
            self._send(HTTPStatus.OK, self.routes[path](asked))
        except InputError as error:
            self._send(HTTPStatus.BAD_REQUEST, _error(str(error)))
        except BrainAlignerError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _error(str(error)))
        except ConnectionError:
            raise
        except Exception as error:  # data that went away, say: the page has to tell, not hang
            text = f"{type(error).__name__}: {error}. Start brainaligner view again."
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _error(text))

    def _send(self, status: HTTPStatus, answer: Answer) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _error(text: str) -> Answer:
    return _as_json({"error": " ".join(text.split())})
