"""Which recording belongs to which story, when files spell a name differently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


def match_names(recorded: Iterable[str], stories: Iterable[str]) -> dict[str, str]:
    """Pair story names with the names that recordings carry.

    The same spelling comes first; then spellings that differ only in case or in white space
    around them, where exactly one story and one recording remain.

    Returns
    -------
    dict
        Story name -> name of its recording; names without a partner are left out.
    """
    recorded, stories = set(recorded), set(stories)
    pairs = {name: name for name in recorded & stories}
    left, right = _by_key(recorded - set(pairs)), _by_key(stories - set(pairs))
    for key in left.keys() & right.keys():
        if len(left[key]) == len(right[key]) == 1:
            pairs[right[key][0]] = left[key][0]
    return pairs


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    keyed: dict[str, list[str]] = defaultdict(list)
    for name in names:
        keyed[name.strip().casefold()].append(name)
    return keyed
