"""One request: the bytes of one address added to one part file, or the reason why not."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from brainaligner.data._fetch_settings import FetchSettings
from brainaligner.data._writing import opened_part, write_all, writing

_PIECE = 1 << 20
_REDIRECTS = 5
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NETWORK = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)


class BrokenOffError(Exception):
    """The address may well give the rest when it is asked again.

    Parameters
    ----------
    reason : str
    wait_s : float, optional
        How long the server asked to be left alone.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class NotHereError(Exception):
    """The address does not hold the file that is wanted."""


class StoppedError(Exception):
    """Somebody asked to stop."""


@dataclass(frozen=True)
class Line:
    """What a transfer needs besides an address and a file.

    Parameters
    ----------
    session : requests.Session
    settings : FetchSettings
    stop : threading.Event
        Set when all transfers should end.
    count : callable
        Told how many bytes came (negative: were thrown away).
    """

    session: requests.Session
    settings: FetchSettings
    stop: Event
    count: Callable[[int], None]


def new_session() -> requests.Session:
    """Return a session that sends no password, not even one from a netrc file."""
    session = requests.Session()
    session.auth = lambda request: request
    session.headers["Accept-Encoding"] = "identity"
    session.headers["User-Agent"] = "brainaligner"
    return session


def part_size(part: Path) -> int:
    """Bytes that a part file holds; 0 where there is none, or a link."""
    return part.stat().st_size if part.is_file() and not part.is_symlink() else 0


def discard(line: Line, part: Path) -> None:
    """Throw a part file away."""
    line.count(-part_size(part))
    part.unlink(missing_ok=True)


def add_bytes(line: Line, url: str, part: Path, size: int) -> None:
    """Ask `url` for what `part` still lacks and add it, up to `size` bytes in all.

    Raises
    ------
    BrokenOffError
        If the connection or the server failed; what came before is kept.
    NotHereError
        If the answer is not this file: another status, another size.
    StoppedError
        If `line.stop` was set.
    """
    offset = part_size(part)
    with _answer(line, url, offset) as answer:
        if answer.status_code == 416:
            discard(line, part)
            raise BrokenOffError("the server did not accept the range (416)")
        start = _first_byte(answer, offset, size)
        line.count(start - offset)
        with writing(part), opened_part(part, start) as file:
            fits = _written(line, file, _pieces(line, answer), size)
    if not fits:
        discard(line, part)
        raise NotHereError(f"more than the {size} bytes of the file")
    if part_size(part) < size:
        raise BrokenOffError(f"the answer ended after {part_size(part)} of {size} bytes")


def _written(line: Line, file: BinaryIO, pieces: Iterator[bytes], size: int) -> bool:
    """Write pieces up to `size` bytes; whether there were no more than that."""
    for piece in pieces:
        if file.tell() + len(piece) > size:
            return False
        write_all(file, piece)
        line.count(len(piece))
    return True


@contextmanager
def _answer(line: Line, url: str, offset: int) -> Iterator[requests.Response]:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    for _ in range(_REDIRECTS + 1):
        with _response(line, url, headers) as answer:
            if not answer.is_redirect:
                _check_status(line.settings, answer)
                yield answer
                return
            url = _redirected(url, answer.headers["Location"])
    raise NotHereError(f"more than {_REDIRECTS} redirects")


def _response(line: Line, url: str, headers: dict[str, str]) -> requests.Response:
    settings = line.settings
    try:
        return line.session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(settings.connect_timeout_s, settings.silence_timeout_s),
        )
    except ValueError as error:  # requests reads a redirect's address even when it is not followed
        raise NotHereError(f"an address that cannot be read ({error})") from error
    except _NETWORK as error:
        raise BrokenOffError(f"no answer ({type(error).__name__})") from error


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme = "unreadable"
    if scheme not in ("http", "https"):
        raise NotHereError(f"a redirect to a {scheme[:20]!r} address")
    return target


def _check_status(settings: FetchSettings, answer: requests.Response) -> None:
    status = answer.status_code
    if status in _BUSY:
        wait_s = _asked_wait(answer.headers.get("Retry-After"))
        if wait_s is not None and wait_s > settings.patience_s:
            raise NotHereError(f"answer {status}, and a wait of {wait_s:.0f} s asked for")
        raise BrokenOffError(f"answer {status}", wait_s)
    if status not in (200, 206, 416):
        raise NotHereError(f"answer {status}")


def _asked_wait(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _first_byte(answer: requests.Response, offset: int, size: int) -> int:
    """Where in the file the body starts; refuses an answer about a file of another size."""
    if answer.status_code == 206:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if not offset or found is None or int(found[1]) != offset:
            raise NotHereError("a part of a file that was not asked for")
        total, start = found[3], offset
    else:
        total, start = answer.headers.get("Content-Length", "*").strip(), 0
    if total.isascii() and total.isdigit() and int(total) != size:
        raise NotHereError(f"a file of {total} bytes instead of {size}")
    return start


def _pieces(line: Line, answer: requests.Response) -> Iterator[bytes]:
    """The body as it comes, however little at a time; ends a connection that hardly moves."""
    settings = line.settings
    began, came = time.monotonic(), 0
    while True:
        if line.stop.is_set():
            raise StoppedError
        try:
            piece = answer.raw.read1(_PIECE, decode_content=False)
        except _NETWORK as error:
            raise BrokenOffError(f"cut off ({type(error).__name__})") from error
        if not piece:
            return
        yield piece
        came += len(piece)
        passed = time.monotonic() - began
        if passed >= settings.silence_timeout_s:
            if came < settings.slowest_bytes_per_s * passed:
                raise BrokenOffError(f"slower than {settings.slowest_bytes_per_s:g} bytes/s")
            began, came = time.monotonic(), 0
