"""A page printed to PDF by a browser of this machine: no library prints its style as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._disk import replace_file, writing_to

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
        If the browser prints nothing.
    """
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="printing-", dir=path.parent.absolute(), ignore_cleanup_errors=True
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
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired:
        said = [f"not done after {SECONDS} s"]
    except OSError as error:
        said = [str(error)]
    content = target.read_bytes() if target.is_file() else b""
    if not content.startswith(b"%PDF-"):
        raise BrainAlignerError(
            f"{browser} printed no PDF ({said[0]}). Name another browser with --browser, or open "
            "the page and print it yourself."
        )
    return content


def _root_arguments() -> tuple[str, ...]:
    """Chromium refuses its sandbox to the superuser; the page holds no script to keep inside."""
    user = getattr(os, "geteuid", None)
    return ("--no-sandbox",) if user is not None and user() == 0 else ()
