"""The model card of a tuned language model, in Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from brainaligner.evaluation import Interval
from brainaligner.report._inputs import NOT_VALID
from brainaligner.report._table import Column, Table, mean_cell
from brainaligner.report._words import MISSING, SIMULATED, plain, rows_cut, span

EXPORTED = " (of this model)"


@dataclass(frozen=True)
class CardScore:
    """Mean r of one arm in one subject on one group of stories.

    Parameters
    ----------
    arm, what : str
        Its name, and what it is in a few words.
    exported : bool
        Whether the card's model is the arm's.
    subject, group, presentations, targets : str
        ``presentations`` is ``"single"`` or ``"repeated"``; ``targets`` says what they are.
    rows_cut, n_stories, n_rows, n_targets : int
    mean : float
    interval : Interval
    """

    arm: str
    what: str
    exported: bool
    subject: str
    group: str
    presentations: str
    targets: str
    rows_cut: int
    n_stories: int
    n_rows: int
    n_targets: int
    mean: float
    interval: Interval

    @property
    def base(self) -> tuple[str, int]:
        """What scores have to share to stand in one table."""
        return self.group, self.rows_cut


@dataclass(frozen=True)
class ModelCard:
    """All that a model card shows.

    Parameters
    ----------
    title : str
    front_matter : str
        YAML, as the Hugging Face hub reads it.
    audit : str
        The audit's verdict in a line; one that begins with `NOT_VALID` is put before everything.
    simulated : bool
    summary : str
        What the model is, in a paragraph.
    head : str, optional
        Name of the class of transformers that loads the head too.
    embed : str
        Command that gives TR vectors of one's own words.
    reading : tuple of (name, text)
        How the arm reads the model.
    tuned_on : tuple of (name, text)
    stories : tuple of (story, use, text, responses)
        Stories that the tuning saw, by the content of words and responses.
    score_notes : tuple of str
        What a reader has to know before the scores.
    scores : tuple of CardScore
    audit_notes : tuple of (name, text)
        Departures and what could not be proven.
    licences : tuple of (name, text)
    keys : tuple of (name, text)
        What the model was made from, by key.
    """

    title: str
    front_matter: str
    audit: str
    simulated: bool
    summary: str
    head: str | None
    embed: str
    reading: tuple[tuple[str, str], ...]
    tuned_on: tuple[tuple[str, str], ...]
    stories: tuple[tuple[str, str, str, str], ...]
    score_notes: tuple[str, ...]
    scores: tuple[CardScore, ...]
    audit_notes: tuple[tuple[str, str], ...]
    licences: tuple[tuple[str, str], ...]
    keys: tuple[tuple[str, str], ...]

    @property
    def banners(self) -> tuple[str, ...]:
        """What must be read before anything else."""
        invalid = (self.audit,) if self.audit.startswith(NOT_VALID) else ()
        return (*invalid, *((SIMULATED,) * self.simulated))


def render_card(card: ModelCard) -> str:
    """Write a model card: front matter, banners, how to load it, origin, scores, licences.

    Names are escaped where Markdown or HTML would read them as their own.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    str
        Markdown. Its first line below the front matter is "NOT VALID" with the reason where the
        audit failed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    cards = Environment(
        loader=PackageLoader("brainaligner.report"),
        autoescape=False,  # Markdown, escaped by filters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cards.filters |= {"text": _escaped, "code": _code, "line": plain}
    return cards.get_template("model_card.md.j2").render(card=card, tables=score_tables(card))


def score_tables(card: ModelCard) -> tuple[Table, ...]:
    """Make one table of mean r for each group of stories and number of rows cut."""
    ordered = sorted(card.scores, key=lambda s: (s.presentations != "single", s.base))
    return tuple(
        _score_table(card, list(together))
        for _, together in itertools.groupby(ordered, key=lambda s: s.base)
    )


def _score_table(card: ModelCard, scores: Sequence[CardScore]) -> Table:
    first = scores[0]
    repeated = " (repeated presentations, averaged)" * (first.presentations == "repeated")
    subjects = tuple(dict.fromkeys(score.subject for score in scores))
    columns = (Column("arm"), Column("what it is"), *(Column("mean r", s) for s in subjects))
    signs = [banner.partition(":")[0] for banner in card.banners]
    title = f"{first.group}{repeated}, {rows_cut(first.rows_cut)}"
    return Table(
        ": ".join([*signs, title]), columns, tuple(_rows(scores, subjects)), tuple(_notes(scores))
    )


def _rows(scores: Sequence[CardScore], subjects: Sequence[str]) -> Iterator[tuple[str, ...]]:
    arms = dict.fromkeys((score.arm, score.what, score.exported) for score in scores)
    found = {(score.arm, score.subject): score for score in scores}
    for arm, what, exported in sorted(arms, key=lambda one: not one[2]):
        cells = [found.get((arm, subject)) for subject in subjects]
        means = [MISSING if one is None else mean_cell(one.mean, one.interval) for one in cells]
        yield (f"{arm}{EXPORTED * exported}", what, *means)


def _notes(scores: Sequence[CardScore]) -> Iterator[tuple[str, str]]:
    stories, rows, targets = (
        span([getattr(score, name) for score in scores])
        for name in ("n_stories", "n_rows", "n_targets")
    )
    kinds = " and ".join(dict.fromkeys(score.targets for score in scores))
    yield "over", f"{stories} stories, {rows} rows, {targets} {kinds}"
    ways = dict.fromkeys((s.interval.level, s.interval.method) for s in scores)
    said = (f"{100 * level:g} % interval, {method}" for level, method in ways)
    yield "in brackets", "; ".join(said)


def _escaped(text: str) -> str:
    """Text as a paragraph or a cell of a table shows it."""
    for sign in ("\\", "|", "*", "`", "_"):
        text = text.replace(sign, f"\\{sign}")
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def _code(text: str) -> str:
    """Text in the type of code, in a cell too."""
    return "`" + plain(text).replace("`", "'").replace("|", "\\|") + "`"
