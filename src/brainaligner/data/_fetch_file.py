"""One file: its addresses in turn, again after failures, until every byte is right."""

from __future__ import annotations

import random
from pathlib import Path

from brainaligner.data._fetch_settings import FetchSettings
from brainaligner.data._fetch_source import url_forms
from brainaligner.data._fetch_transfer import (
    BrokenOffError,
    Line,
    NotHereError,
    StoppedError,
    add_bytes,
    discard,
    part_size,
)
from brainaligner.data._files import file_hash
from brainaligner.data._manifest import PART, ManifestEntry, place_of
from brainaligner.data._set_aside import set_aside
from brainaligner.data._writing import opened_part, show

_LEAST_GAIN = 1024
_GAIN_SHARE = 100


def file_fault(folder: Path, entry: ManifestEntry) -> str:
    """Say what is wrong with the local copy of an entry; an empty text where it is right."""
    place = place_of(folder, entry.path)
    if not place.is_file():
        return "absent"
    size = place.stat().st_size
    if size != entry.size:
        return f"{size} bytes instead of {entry.size}"
    return "" if file_hash(place, "md5") == entry.md5 else "content with another MD5"


def fetch_file(line: Line, base_url: str, folder: Path, entry: ManifestEntry) -> str:
    """Bring one file under its final name; what stood there before is set aside first.

    Returns
    -------
    str
        Empty when the file is there, with the size and MD5 of its entry; otherwise what every
        address answered.

    Raises
    ------
    StoppedError
        If `line.stop` was set.
    DiskFullError
    """
    place = place_of(folder, entry.path)
    part = place.with_name(place.name + PART)
    reasons = []
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_file():
            set_aside(place)
        for url in url_forms(base_url, entry):
            try:
                _from_address(line, url, part, entry)
                show(part, place)
                return ""
            except NotHereError as fault:
                reasons.append(f"{url}: {fault}")
    except BrokenOffError as fault:
        reasons.append(f"given up after {line.settings.attempts} failures in a row: {fault}")
    except OSError as error:
        reasons.append(f"cannot be written ({error})")
    return "; ".join(reasons)


def _from_address(line: Line, url: str, part: Path, entry: ManifestEntry) -> None:
    """Complete `part` from one address, and believe it only when its MD5 is right.

    Bytes of an earlier call or another address may be at fault themselves: where there were
    any, the address gets one more try without them.
    """
    while True:
        if part_size(part) > entry.size:
            discard(line, part)
        inherited = part_size(part) > 0
        _complete(line, url, part, entry.size)
        if file_hash(part, "md5") == entry.md5:
            return
        discard(line, part)
        if not inherited:
            raise NotHereError("content with another MD5")


def _complete(line: Line, url: str, part: Path, size: int) -> None:
    opened_part(part, part_size(part)).close()
    failures = 0
    while part_size(part) != size:
        before = part_size(part)
        try:
            add_bytes(line, url, part, size)
        except BrokenOffError as fault:
            gained = part_size(part) - before
            failures = 1 if gained >= max(_LEAST_GAIN, size // _GAIN_SHARE) else failures + 1
            if failures >= line.settings.attempts:
                raise
            _wait(line, fault.wait_s, failures)


def _wait(line: Line, asked_s: float | None, failures: int) -> None:
    if line.stop.wait(waiting_time(line.settings, failures) if asked_s is None else asked_s):
        raise StoppedError


def waiting_time(settings: FetchSettings, failures: int) -> float:
    """Seconds to wait after some failures in a row: exponential, with jitter.

    ``min(longest, first 2^(failures - 1)) (1 - u / 2)``, u uniform in [0, 1): clients that
    failed together do not come back together.
    """
    longest = min(settings.longest_wait_s, settings.first_wait_s * 2.0 ** min(failures - 1, 60))
    return longest * (1 - random.random() / 2)
