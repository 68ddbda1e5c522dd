"""How `embed` reads text: settings that were asked for, above those of an exported model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brainaligner.core import Clock, InputError
from brainaligner.study._dataset_config import EMBEDDED
from brainaligner.study._embed_input import MOST_ROWS
from brainaligner.study._export_record import RECORD
from brainaligner.study._files import read_text
from brainaligner.study._settings import settings_from_mapping
from brainaligner.text import ModelInfo, TextSettings, model_info

DEFAULT_TR = 2.0
_OF_ROWS = ("clock", "context_rows", "context_seconds", "context_words", "context_from", "resample")


@dataclass(frozen=True)
class EmbedSettings:
    """How text is read; what is left out is the exported model's own, or the default.

    Parameters
    ----------
    text : mapping
        Fields of `TextSettings`.
    tr : float, optional
        Seconds between two rows. 2 where nobody says otherwise.
    first : float, optional
        Centre of row 0 in seconds from the start of the sound. Half a TR where nobody says
        otherwise, so that every word has a row.
    rows : int, optional
        Rows of each story; as many as its words need where nothing is said.
    """

    text: Mapping[str, Any] = field(default_factory=dict)
    tr: float | None = None
    first: float | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and not 1 <= self.rows <= MOST_ROWS:
            raise InputError(
                "--rows",
                got=str(self.rows),
                wanted=f"1 to {MOST_ROWS:,}",
                do="Give a number of TRs.",
            )

    @property
    def of_rows(self) -> list[str]:
        """Names of what is set and makes sense for timed words alone."""
        times = [name for name in ("tr", "first", "rows") if getattr(self, name) is not None]
        return [*times, *(name for name in _OF_ROWS if name in self.text)]


@dataclass(frozen=True)
class Reading:
    """A model, described, and how text is read with it.

    Parameters
    ----------
    info : ModelInfo
    text : TextSettings
        With the layer counted from 0.
    clock : Clock
    not_valid : str, optional
        Stamp of an exported model whose run failed its audit.
    """

    info: ModelInfo
    text: TextSettings
    clock: Clock
    not_valid: str | None


def text_reading(model: str, settings: EmbedSettings, *, lines: bool) -> Reading:
    """Settings that were asked for above those of an exported model; no weights are read.

    Parameters
    ----------
    model : str
    settings : EmbedSettings
    lines : bool
        Plain text is read: nothing of clock and context comes from the exported model.

    Raises
    ------
    InputError
        For a damaged export, a setting that does not exist or fit, a model that is not there, or
        a layer that it does not have.
    """
    record = _exported(model)
    own = record["reading"]
    skipped = _OF_ROWS if lines else ()
    kept = {name: value for name, value in own.get("text", {}).items() if name not in skipped}
    text = settings_from_mapping(TextSettings, kept | dict(settings.text), where="settings")
    clock, info = _clock(settings, own.get("clock", {})), model_info(model)
    text = replace(text, layer=text.resolve_layer(info))
    return Reading(info, text, clock, record["not_valid"])


def _clock(settings: EmbedSettings, own: Mapping[str, float]) -> Clock:
    tr = settings.tr if settings.tr is not None else own.get("tr", DEFAULT_TR)
    first = settings.first if settings.first is not None else own.get("first", tr / 2)
    return Clock(tr=float(tr), first=float(first))


def _exported(model: str) -> Mapping[str, Any]:
    """What an exported model says of itself; of any other, that nothing is wrong with it."""
    path = Path(model).expanduser() / RECORD
    if model == EMBEDDED or not path.is_file():
        return {"reading": {}, "not_valid": None}
    try:
        record = json.loads(read_text(path, kind="JSON file"))
        parts = [record["reading"][part] for part in ("text", "clock")]
        whole = all(isinstance(part, dict) for part in parts) and "not_valid" in record
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(
            str(path),
            got="a damaged file",
            wanted="what brainaligner export writes",
            do="Export the model again, or remove the file: defaults are taken then.",
        )
    return dict(record)


def refuse_row_settings(given: Path, settings: EmbedSettings) -> None:
    if settings.of_rows:
        raise InputError(
            str(given),
            got=f"lines of text, and {', '.join(settings.of_rows)}",
            wanted="these settings beside words with times alone",
            do="Leave them out, or give a word table (.csv, .tsv) or a TextGrid.",
        )
