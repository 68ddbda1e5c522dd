"""A page printed to PDF by a browser of this machine: no library prints its style as well."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._disk import nearest_existing, replace_file, writing_to

COMMANDS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
_MAC = "/Applications/{0}.app/Contents/MacOS/{0}"
_MAC_NAMES = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
_ARGUMENTS = (
    *("--headless", "--disable-gpu", "--disable-extensions", "--disable-background-networking"),
    *("--no-first-run", "--no-default-browser-check", "--no-pdf-header-footer"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # the page asks for nothing, and may not
)
SECONDS = 600
_END, _TAIL = b"%%EOF", 1024


def find_browser(named: Path | None = None) -> str:
    """Return the program of a Chromium, Chrome or Edge: the named one, else one that is installed.

    Raises
    ------
    InputError
        If there is none.
    """
    if named is not None:
        found = shutil.which(str(named.expanduser()))
        if found is None:
            raise InputError(
                "--browser",
                got=f"{named}, which is no program",
                wanted="the program of Chromium, Chrome or Edge",
                do="Give its path, or leave it out to have one looked for.",
            )
        return found
    found = next(filter(None, map(shutil.which, _candidates())), None)
    if found is None:
        raise InputError(
            "--pdf",
            got="no browser that can print",
            wanted="Chromium, Chrome or Edge on this machine",
            do="Install one, name it with --browser, or open the page and print it yourself.",
        )
    return found


def _candidates() -> Iterator[str]:
    yield from COMMANDS
    yield from (_MAC.format(name) for name in _MAC_NAMES)
    homes = (os.environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))
    yield from (os.path.join(home, program) for home in homes if home for program in _WINDOWS)


def save_pdf(html: str, path: Path, *, browser: str) -> None:
    """Print a page to a PDF file, which is replaced in one step.

    The browser works in a folder beside the file, with a profile of its own that goes afterwards:
    some are installed so that they see the user's folders alone, and not those for
    temporary files.

    Parameters
    ----------
    html : str
    path : Path
    browser : str
        As `find_browser` gives it.

    Raises
    ------
    InputError
        If the file cannot be written.
    BrainAlignerError
        If the browser prints nothing, or not to the end.
    """
    with writing_to(path.parent):
        near = nearest_existing(path.parent)
        with tempfile.TemporaryDirectory(
            prefix="printing-", dir=near.absolute(), ignore_cleanup_errors=True
        ) as place:
            printed = _printed(html, Path(place), browser)
        replace_file(path, printed)


def _printed(html: str, folder: Path, browser: str) -> bytes:
    page, target = folder / "page.html", folder / "page.pdf"
    page.write_text(html, encoding="utf-8")
    command = [
        *(browser, *_ARGUMENTS, *_root_arguments()),
        *(f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={target}", page.as_uri()),
    ]
    said = _said(command, folder / "said.txt")
    content = target.read_bytes() if target.is_file() else b""
    if not content.startswith(b"%PDF-") or _END not in content[-_TAIL:]:
        raise BrainAlignerError(
            f"{browser} printed no whole PDF ({said}). Name another browser with --browser, or "
            "open the page and print it yourself."
        )
    return content


def _said(command: list[str], path: Path) -> str:
    """Run a browser to its end, and with it all that it started; what it said last."""
    try:
        with path.open("wb") as file, _ended(command, file) as process:
            code = process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    except OSError as error:
        return str(error)
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"


@contextmanager
def _ended(command: list[str], file: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
    )
    try:
        yield process
    finally:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _root_arguments() -> tuple[str, ...]:
    """Chromium refuses its sandbox to the superuser; the page holds no script to keep inside."""
    user = getattr(os, "geteuid", None)
    return ("--no-sandbox",) if user is not None and user() == 0 else ()
