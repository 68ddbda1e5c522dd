"""How long loops report on themselves."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)``; `total` is constant within one `what`."""


def no_progress(what: str, done: int, total: int) -> None:
    """Say nothing: the default of every long function."""
