"""Errors that say what was got, what was wanted and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BrainAlignerError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes
    ----------
    exit_code : int
        What the command line exits with when this error reaches it.
    """

    exit_code = 1


class InputError(BrainAlignerError, ValueError):
    """Bad input, found before any work was done.

    Parameters
    ----------
    where : str
        File, setting or argument that is wrong.
    got : str
        What was found there.
    wanted : str
        What would have been right.
    do : str
        What the user can do about it, as a full sentence.
    """

    exit_code = 2

    def __init__(self, where: str, *, got: str, wanted: str, do: str) -> None:
        self.where, self.got, self.wanted, self.do = where, got, wanted, do
        message = f"{where}: got {got}; wanted {wanted}. {do}"
        super().__init__(" ".join(message.split()))


def nearest_name(name: str, options: Iterable[str]) -> str | None:
    """Return the option spelled most like `name`, or None when none is close."""
    by_lower = {option.lower(): option for option in options}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def unknown_name(where: str, kind: str, name: str, options: Iterable[str]) -> InputError:
    """Build the error for a name that is not among `options`, with the nearest one.

    Parameters
    ----------
    where : str
        File or setting that holds the name.
    kind : str
        What the name should have named, in the singular: ``"story"``, ``"key"``.
    name : str
        The unknown name.
    options : iterable of str
        The names that exist; at most twelve are listed.
    """
    known = sorted(options)
    nearest = nearest_name(name, known)
    listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    do = f"Did you mean {nearest!r}?" if nearest else "Use one of the names that exist."
    return InputError(where, got=f"unknown {kind} {name!r}", wanted=f"one of: {listed}", do=do)
