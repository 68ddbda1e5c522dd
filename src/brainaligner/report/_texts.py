"""Texts of the page in each language: what the page says itself, and what it is told."""

from __future__ import annotations

import functools
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources

from markupsafe import Markup, escape

from brainaligner.core import unknown_name

LANGUAGES = {"en": "English", "ja": "日本語"}
"""Languages of the page, each by its own name."""

SEPARATORS = {"; ": "separator.semicolon", ": ": "separator.colon", ", ": "separator.comma"}
FIRM = 4  # letters from which on a sentence is looked for before a text is taken apart
SENTENCE = 3  # words side by side from which on a text is one, and not a name or a sign
_WORD = re.compile(r"[A-Za-z]{2,}")
_PART = re.compile(r"[;:,()]")
_GAPS = {
    "n": r"(?:n/a|nan|inf|[-+−\d.,%/ e±])+?",  # noqa: RUF001
    "part": r"(?:[^;:,()]|\([^()]*\))+?",
    "error": ".*",
    "": "[^;]+?",
}
"""What a gap may hold, by its name up to ``_``."""
_HIDDEN = re.compile("\ue000(\\d+)\ue001")  # a name that is out of sight, by its place


@dataclass(frozen=True)
class Sentence:
    """An English sentence with gaps that may reach the page, and what the page says instead.

    Parameters
    ----------
    english, own : str
        As `str.format` takes them, with the same fields. A field ``n`` or ``n_...`` holds
        numbers alone; ``part`` nothing that a text is taken apart at; ``error`` the message of
        an error, which may be anything and stays as it is; any other no semicolon.
    """

    english: str
    own: str

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """What matches a whole English sentence, with a group for each field."""
        return re.compile("".join(_pattern_parts(self.english)))

    @functools.cached_property
    def letters(self) -> int:
        """Letters that are given: of several sentences that match, the one with most counts."""
        given = "".join(text for text, *_ in string.Formatter().parse(self.english))
        return sum(letter.isalpha() for letter in given)

    @functools.cached_property
    def is_firm(self) -> bool:
        """Whether it is looked for before a text is taken apart."""
        return self.letters >= FIRM or all(_kind(name) == "n" for name in self.pattern.groupindex)

    @property
    def is_closed(self) -> bool:
        """Whether it is firm, and brackets at its end are its own."""
        return self.is_firm and self.english.endswith((")", "{error}"))


def _kind(name: str) -> str:
    """Key of `_GAPS`."""
    kind = name.partition("_")[0]
    return kind if kind in _GAPS else ""


def _pattern_parts(template: str) -> Iterator[str]:
    seen: set[str] = set()
    for text, name, _, _ in string.Formatter().parse(template):
        yield re.escape(text)
        if name is not None:
            yield f"(?P={name})" if name in seen else f"(?P<{name}>{_GAPS[_kind(name)]})"
            seen.add(name)


@dataclass(frozen=True, eq=False)
class Texts:
    """The texts of one language.

    What the page writes itself has a key (`page`). What it is handed by other rooms, as findings,
    diagnostics and tables, is English; it is known again by its sentence (`sentences`).

    Parameters
    ----------
    language : str
        As in the ``lang`` attribute.
    page : mapping of key to str
        Templates of `str.format`; some hold markup.
    sentences : tuple of Sentence
        Empty in English, where every sentence is said as it is.
    names : frozenset of str
        Arms, subjects, stories and regions, which no language changes.
    """

    language: str
    page: Mapping[str, str]
    sentences: tuple[Sentence, ...] = ()
    names: frozenset[str] = frozenset()

    def __call__(self, key: str, **fields: object) -> str:
        """Return the text of a key."""
        return self.page[key].format(**fields)

    def html(self, key: str, **fields: object) -> Markup:
        """Return the text of a key as markup, its fields escaped."""
        return Markup(self.page[key]).format(**fields)

    def knowing(self, names: Iterable[str]) -> Texts:
        """Return the same texts with names that are never translated."""
        return replace(self, names=frozenset(names))

    def said(self, text: str) -> str | None:
        """Say an English text in this language; None where it is not known.

        A text that no sentence matches is taken apart at the brackets at its end, at semicolons,
        colons and commas: at all, or the first. Parts that are names, numbers or signs stay as
        they are; with one unknown sentence among them the whole is unknown.
        """
        if not self.sentences:
            return text
        found = self._known(_hide(text, self._long_names))
        return None if found is None else _show(found, self._long_names)

    def told(self, text: str) -> str:
        """Say an English text in this language, or in English where it is not known."""
        found = self.said(text)
        return text if found is None else found

    def told_html(self, text: str) -> Markup:
        """The same as markup, in which an English sentence says that it is one."""
        found = self.said(text)
        if found is None and is_sentence(text):
            return Markup('<span lang="en">{}</span>').format(text)
        return escape(text if found is None else found)

    def opened_html(self, text: str) -> Markup:
        """The same at the beginning of a line, where English has a capital letter."""
        capital = text[:1].upper() + text[1:]
        return self.told_html(capital if self.said(text) in (None, text) else text)

    def heading(self, text: str) -> str:
        """Say an English text as a heading."""
        found = self.told(text)
        return text.capitalize() if found == text else found

    @functools.cached_property
    def _long_names(self) -> tuple[str, ...]:
        """Names that could be taken for a sentence or apart, the longest first."""
        parted = (name for name in self.names if any(sign in name for sign in (*SEPARATORS, " ")))
        return tuple(sorted(parted, key=lambda name: (-len(name), name)))

    @functools.cached_property
    def _exact(self) -> Mapping[str, str]:
        return {one.english: one.own for one in self.sentences if one.pattern.groups == 0}

    @functools.cached_property
    def _gapped(self) -> tuple[Sentence, ...]:
        gapped = (one for one in self.sentences if one.pattern.groups)
        return tuple(sorted(gapped, key=lambda one: -one.letters))

    @functools.cached_property
    def _closed(self) -> tuple[Sentence, ...]:
        return tuple(one for one in self._gapped if one.is_closed)

    @functools.cached_property
    def _firm(self) -> tuple[Sentence, ...]:
        return tuple(one for one in self._gapped if one.is_firm and not one.is_closed)

    @functools.cached_property
    def _weak(self) -> tuple[Sentence, ...]:
        return tuple(one for one in self._gapped if not one.is_firm)

    @functools.cached_property
    def _known(self) -> Callable[[str], str | None]:
        return functools.cache(self._find)

    def _find(self, text: str) -> str | None:
        if text in self.names or not _WORD.search(text):
            return text
        return self._whole(text) or self._parted(text) or self._matched(text, self._weak)

    def _whole(self, text: str) -> str | None:
        """Say a text that is one sentence, or one with brackets at its end."""
        if text in self._exact:
            return self._exact[text]
        closed = self._matched(text, self._closed) or self._bracketed(text)
        return closed or self._matched(text, self._firm)

    def _matched(self, text: str, sentences: tuple[Sentence, ...]) -> str | None:
        for sentence in sentences:
            match = sentence.pattern.fullmatch(text)
            fields = self._together(match.groupdict()) if match else None
            if fields:
                return sentence.own.format(**fields)
        return None

    def _bracketed(self, text: str) -> str | None:
        """Say a sentence, and what stands in the brackets at its end."""
        before, inside = _end_brackets(text)
        found = self._whole(before) if inside else None
        fields = self._together({"inside": inside}) if found else None
        return self.page["separator.brackets"].format(text=found, **fields) if fields else None

    def _parted(self, text: str) -> str | None:
        for sign, key in SEPARATORS.items():
            first, *rest = _split(text, sign)
            for parts in ([first, *rest], [first, sign.join(rest)]) if rest else ():
                found = self._together({str(i): part for i, part in enumerate(parts)})
                if found is not None:
                    own = list(found.values())
                    return text if own == parts else self.page[key].join(own)
        return None

    def _together(self, parts: Mapping[str, str]) -> dict[str, str] | None:
        """Say some parts; None where one is a sentence that is not known."""
        found = {
            name: part if _kind(name) == "error" else self._known(part)
            for name, part in parts.items()
        }
        if any(found[name] is None and is_sentence(part) for name, part in parts.items()):
            return None
        return {name: found[name] or part for name, part in parts.items()}


def is_sentence(text: str) -> bool:
    """Whether any part of a text has as many words as only sentences have."""
    parts = ([word for word in part.split() if word.isalpha()] for part in _PART.split(text))
    return any(
        sum(_WORD.fullmatch(word) is not None for word in part) >= SENTENCE for part in parts
    )


def _split(text: str, sign: str) -> list[str]:
    """Parts of a text between the signs that stand in no brackets."""
    parts = [""]
    for piece in text.split(sign):
        open_brackets = parts[-1].count("(") - parts[-1].count(")")
        if open_brackets > 0:
            parts[-1] += sign + piece
        else:
            parts.append(piece)
    return parts[1:]


def _end_brackets(text: str) -> tuple[str, str]:
    """A text up to the brackets at its end, and what they hold; nothing where there are none."""
    depth = 0
    for place in range(len(text) - 1, 0, -1) if text.endswith(")") else ():
        depth += (text[place] == ")") - (text[place] == "(")
        if depth == 0:
            before = text[:place]
            return (before[:-1], text[place + 1 : -1]) if before.endswith(" ") else (text, "")
    return text, ""


def _hide(text: str, names: tuple[str, ...]) -> str:
    for i, name in enumerate(names):
        text = text.replace(name, f"\ue000{i}\ue001")
    return text


def _show(text: str, names: tuple[str, ...]) -> str:
    return _HIDDEN.sub(lambda found: names[int(found.group(1))], text)


@functools.cache
def page_texts(language: str = "en") -> Texts:
    """Read the texts of a language.

    Parameters
    ----------
    language : str
        Key of `LANGUAGES`.

    Raises
    ------
    InputError
        If the language is unknown.
    """
    if language not in LANGUAGES:
        raise unknown_name("page", "language", language, LANGUAGES)
    own, english = _catalogue(language), _catalogue("en")
    pairs = [Sentence(text, own["said"][key]) for key, text in english["said"].items()]
    return Texts(language, own["page"], tuple(pairs) if language != "en" else ())


def _catalogue(language: str) -> dict[str, dict[str, str]]:
    file = resources.files(__package__) / "texts" / f"{language}.json"
    content: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return content
