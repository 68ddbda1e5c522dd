"""``brainaligner page``: the page of a finished run, in another language or as PDF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from brainaligner.core import InputError
from brainaligner.study._printing import (
    AsJson,
    FinishedRun,
    Language,
    at_home,
    help_end,
    print_json,
    stoppable,
)

_BROWSER = "BRAINALIGNER_BROWSER"
EXAMPLES = help_end(
    "page runs/demo --language ja",
    "page runs/demo --language ja --to demo.ja.html --pdf demo.ja.pdf",
    "page runs/baseline --pdf baseline.pdf --browser /opt/chrome/chrome",
    "page runs/baseline --language ja --json",
)


def page(
    run: FinishedRun,
    language: Language = "en",
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            callback=at_home,
            help="Where the page goes; default: report.LANG.html in the run's folder.",
        ),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pdf",
            callback=at_home,
            help="Print the page to this file; no page without --to.",
        ),
    ] = None,
    browser: Annotated[
        Path | None,
        typer.Option(
            envvar=_BROWSER,
            metavar="PROGRAM",
            help="Chromium, Chrome or Edge, which prints; default: one that is installed.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the page of a finished run again: in another language, or printed to PDF.

    Nothing is computed: the page is made of what the run kept beside it, and neither data nor
    store are asked. The run's own files stay as they are.
    """
    from brainaligner.study._disk import replace_file
    from brainaligner.study._options import check_language
    from brainaligner.study._page_record import read_page
    from brainaligner.study._pdf import find_browser, save_pdf

    check_language(language)
    html = run / f"report.{language}.html" if to is None and pdf is None else to
    _check_target("--to", html, (".html", ".htm"), run)
    _check_target("--pdf", pdf, (".pdf",), run)
    _check_browser(browser, pdf)
    program = None if pdf is None else find_browser(browser)
    content = read_page(run)
    with stoppable():
        if html is not None:
            replace_file(html, content.html(language).encode())
        if pdf is not None and program is not None:
            save_pdf(content.html(language, unfolded=True), pdf, browser=program)
    written = {"page": html, "pdf": pdf}
    files = {what: str(path) for what, path in written.items() if path is not None}
    if as_json:
        print_json({"language": language, **files})
        return
    for what, path in files.items():
        print(f"{what}: {path}")


def _check_target(option: str, path: Path | None, endings: tuple[str, ...], run: Path) -> None:
    """Refuse a file to write that has another ending, or that is one of the run's own."""
    from brainaligner.study._outputs import FILES

    if path is None:
        return
    if path.suffix.lower() not in endings or path.is_dir():
        raise InputError(
            option,
            got=str(path),
            wanted=f"a file that ends with {endings[0]}",
            do="Name such a file.",
        )
    if any(_is_same(path, run / name) for name in FILES):
        raise InputError(
            option,
            got=f"{path}, which the run wrote and its audit compares",
            wanted="another file",
            do="Choose another name, or run the study again with --language.",
        )


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, however they are written."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def _check_browser(browser: Path | None, pdf: Path | None) -> None:
    """A browser prints; one that the environment names may stand there for other calls."""
    if browser is not None and pdf is None and str(browser) != os.environ.get(_BROWSER):
        raise InputError(
            "--browser",
            got="a browser, and nothing to print",
            wanted="--pdf FILE.pdf beside it",
            do="Add --pdf, or leave --browser out.",
        )
