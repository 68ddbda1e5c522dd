"""A server on the loopback address that has published files and, on demand, misbehaves."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

PREFIX = "/openneuro.org/ds003020/"
MOVED = "/moved-here"
SILENCE_S = 0.25
"""What tests set as the timeout; a slow peer stays silent for longer."""


@dataclass
class Shop:
    """What is published, what goes wrong, and what was asked for.

    Parameters
    ----------
    files : mapping of address (under the prefix, with query) to content
    draw : callable
        Called once a request; returns the name of a fault, or "" for none.
    pause_s : float
        Between two pieces of a body.
    """

    files: Mapping[str, bytes]
    draw: Callable[[], str] = lambda: ""
    pause_s: float = 0.0
    seed: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.lock = threading.Lock()

    def next_fault(self, address: str, start: int, headers: dict[str, str]) -> str:
        with self.lock:
            fault = self.draw()
            self.asked.append((address, start))
            self.headers.append(headers)
            self.drawn.append(fault)
            return fault

    def number(self, low: int, high: int) -> int:
        with self.lock:
            return self.rng.randint(low, max(low, high))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shop: Shop

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.removeprefix(MOVED)
        address = unquote(path).removeprefix(PREFIX)
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        fault = self.shop.next_fault(address, start, dict(self.headers))
        content = self.shop.files.get(address)
        try:
            if content is None:
                self.status(404)
            else:
                FAULTS[fault](self, content, start)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def status(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def head(self, content: bytes, start: int, length: int | None = None) -> bytes:
        """Send a sound head for what is left from `start` on; return that."""
        if start >= len(content) > 0 and start:
            self.status(416)
            return b""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        rest = content[start:]
        self.send_header("Content-Length", str(len(rest) if length is None else length))
        self.end_headers()
        return rest

    def body(self, rest: bytes) -> None:
        step = 8192 if self.shop.pause_s else max(1, len(rest))
        for i in range(0, len(rest), step):
            self.wfile.write(rest[i : i + step])
            if self.shop.pause_s:
                time.sleep(self.shop.pause_s)

    def hang_up(self, *, rudely: bool) -> None:
        self.close_connection = True
        self.wfile.flush()
        if rudely:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def sound(peer: Handler, content: bytes, start: int) -> None:
    peer.body(peer.head(content, start))


def cut(peer: Handler, content: bytes, start: int) -> None:
    rest = peer.head(content, start)
    peer.body(rest[: peer.shop.number(0, len(rest) - 1)])
    peer.hang_up(rudely=bool(peer.shop.number(0, 1)))


def no_answer(peer: Handler, content: bytes, start: int) -> None:
    peer.hang_up(rudely=True)


def server_error(peer: Handler, content: bytes, start: int) -> None:
    peer.status((500, 502, 504)[peer.shop.number(0, 2)])


def unavailable(peer: Handler, content: bytes, start: int) -> None:
    peer.status(503, Retry_After=("0", "Wed, 21 Oct 2015 07:28:00 GMT", "soon")[start % 3])


def too_many(peer: Handler, content: bytes, start: int) -> None:
    peer.status(429, Retry_After="0")


def asks_for_a_day(peer: Handler, content: bytes, start: int) -> None:
    peer.status(503, Retry_After="86400")


def damaged(peer: Handler, content: bytes, start: int) -> None:
    rest = bytearray(peer.head(content, start))
    if rest:
        rest[peer.shop.number(0, len(rest) - 1)] ^= 1 + peer.shop.number(0, 254)
    peer.body(bytes(rest))


def truncated(peer: Handler, content: bytes, start: int) -> None:
    rest = content[start:]
    kept = rest[: peer.shop.number(0, len(rest) - 1)]
    peer.send_response(200)
    peer.send_header("Content-Length", str(len(kept)))
    peer.end_headers()
    peer.body(kept)


def unannounced_end(peer: Handler, content: bytes, start: int) -> None:
    peer.send_response(200)
    peer.send_header("Connection", "close")
    peer.end_headers()
    peer.body(content[: peer.shop.number(0, len(content) - 1)])
    peer.hang_up(rudely=False)


def endless(peer: Handler, content: bytes, start: int) -> None:
    peer.send_response(200)
    peer.send_header("Transfer-Encoding", "chunked")
    peer.end_headers()
    for piece in (content, b"more than there is"):
        peer.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    peer.wfile.write(b"0\r\n\r\n")


def ignores_range(peer: Handler, content: bytes, start: int) -> None:
    peer.body(peer.head(content, 0))


def ignores_range_and_cuts(peer: Handler, content: bytes, start: int) -> None:
    cut(peer, content, 0)


def wrong_range(peer: Handler, content: bytes, start: int) -> None:
    peer.send_response(206)
    peer.send_header("Content-Range", f"bytes {start + 1}-{len(content)}/{len(content)}")
    peer.send_header("Content-Length", str(len(content) - start))
    peer.end_headers()
    peer.body(content[start:])


def not_satisfiable(peer: Handler, content: bytes, start: int) -> None:
    peer.status(416)


def gone(peer: Handler, content: bytes, start: int) -> None:
    peer.status((403, 404, 410)[peer.shop.number(0, 2)])


def redirect(peer: Handler, content: bytes, start: int) -> None:
    path = peer.path if peer.path.startswith(MOVED) else MOVED + peer.path
    peer.status((301, 302, 307, 308)[peer.shop.number(0, 3)], Location=path)


def hostile_redirect(peer: Handler, content: bytes, start: int) -> None:
    places = ("file:///etc/passwd", "ftp://127.0.0.1/x", "http://[broken", "//:0", "gopher:x")
    peer.status(302, Location=places[peer.shop.number(0, 4)])


def silent(peer: Handler, content: bytes, start: int) -> None:
    rest = peer.head(content, start)
    peer.body(rest[: len(rest) // 2])
    peer.wfile.flush()
    time.sleep(SILENCE_S * 1.6)
    peer.hang_up(rudely=True)


def trickling(peer: Handler, content: bytes, start: int) -> None:
    rest = peer.head(content, start)
    for i in range(min(len(rest), 20)):
        peer.wfile.write(rest[i : i + 1])
        time.sleep(SILENCE_S / 10)
    peer.hang_up(rudely=True)


def named_elsewhere(peer: Handler, content: bytes, start: int) -> None:
    peer.send_response(200)
    peer.send_header("Content-Disposition", 'attachment; filename="../../../escaped"')
    peer.send_header("Content-Length", str(len(content)))
    peer.end_headers()
    peer.body(content)


FAULTS: dict[str, Callable[[Handler, bytes, int], None]] = {
    "": sound,
    "cut": cut,
    "no_answer": no_answer,
    "server_error": server_error,
    "unavailable": unavailable,
    "too_many": too_many,
    "asks_for_a_day": asks_for_a_day,
    "damaged": damaged,
    "truncated": truncated,
    "unannounced_end": unannounced_end,
    "endless": endless,
    "ignores_range": ignores_range,
    "ignores_range_and_cuts": ignores_range_and_cuts,
    "wrong_range": wrong_range,
    "not_satisfiable": not_satisfiable,
    "gone": gone,
    "redirect": redirect,
    "hostile_redirect": hostile_redirect,
    "silent": silent,
    "trickling": trickling,
    "named_elsewhere": named_elsewhere,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving(shop: Shop) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; gives the base address of the dataset."""
    handler = type("ShopHandler", (Handler,), {"shop": shop, "timeout": 5})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{quote(PREFIX)}".rstrip("/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
