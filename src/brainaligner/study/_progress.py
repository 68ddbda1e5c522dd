"""Progress for people: bars on a terminal, plain lines in a log file or CI."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from brainaligner.study._printing import stderr_console

_LINE_EVERY_S = 10.0


class Reporter(ABC):
    """Says what is going on.

    Calling it with ``(what, done, total)`` makes it a `brainaligner.core.Progress`.
    """

    @abstractmethod
    def line(self, text: str) -> None:
        """Say one finished thing."""

    @abstractmethod
    def __call__(self, what: str, done: int, total: int) -> None:
        """Say how far a long loop has come."""


class PlainReporter(Reporter):
    """A line each ten seconds of a loop; loops that are shorter say nothing.

    Parameters
    ----------
    print_line : callable
        Called with each line.
    """

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print_line = print_line
        self._last: dict[str, float] = {}

    def line(self, text: str) -> None:
        """Write the line with date and time."""
        self._print_line(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    def __call__(self, what: str, done: int, total: int) -> None:
        """Write a line when one is due."""
        now = time.monotonic()
        if now - self._last.setdefault(what, now) >= _LINE_EVERY_S:
            self._last[what] = now
            self.line(f"{what}: {done}/{total}")
        if done >= total:
            del self._last[what]


class BarReporter(Reporter):
    """A bar for the loop that runs, lines for what is finished."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def line(self, text: str) -> None:
        """Print above the bar."""
        self._bars.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move the bar; it disappears when its loop is done."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))


class _Both(Reporter):
    """The screen and the log file."""

    def __init__(self, screen: Reporter, log: Reporter) -> None:
        self._all = (screen, log)

    def line(self, text: str) -> None:
        for reporter in self._all:
            reporter.line(text)

    def __call__(self, what: str, done: int, total: int) -> None:
        for reporter in self._all:
            reporter(what, done, total)


class SilentReporter(Reporter):
    """Says nothing: the first rank speaks for all."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say nothing."""


@contextmanager
def reporting(log: Path | None = None, *, console: Console | None = None) -> Iterator[Reporter]:
    """Open the reporter that fits the terminal, with a copy of all lines in `log`.

    An error that ends the work is written to `log` too.
    """
    console = console or stderr_console()
    if log is None:
        with _screen(console) as screen:
            yield screen
        return
    with log.open("a", encoding="utf-8") as file, _screen(console) as screen:
        copy = PlainReporter(partial(print, file=file, flush=True))
        try:
            yield _Both(screen, copy)
        except BaseException as error:
            copy.line(f"stopped: {type(error).__name__} {error}".rstrip())
            raise


@contextmanager
def _screen(console: Console) -> Iterator[Reporter]:
    if not console.is_interactive:
        yield PlainReporter(partial(print, file=sys.stderr, flush=True))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield BarReporter(bars)
