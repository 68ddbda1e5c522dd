"""What a search leaves: its trials as JSON and as a table, and the study of the best one."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from brainaligner.study._disk import replace_file
from brainaligner.study._files import study_yaml
from brainaligner.study._search_keys import short_names
from brainaligner.study._search_space import Value
from brainaligner.study._search_trial import Search
from brainaligner.study._search_tuner import RANDOM_TRIALS, Trial

_SUBJECTS_ABREAST = 3
JSON, TSV, BEST = "search.json", "search.tsv", "best.yaml"
SCORE = (
    "mean over subjects of the mean r over targets; single-presentation validation stories, "
    "which also chose alpha; fewest rows cut"
)


@dataclass(frozen=True)
class Found:
    """A search as far as it has come.

    Parameters
    ----------
    search : Search
    folder : Path
    wanted : int
        Trials in all.
    warnings : tuple of str
    trials : tuple of Trial
        Those that are over, in order.
    """

    search: Search
    folder: Path
    wanted: int
    warnings: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def ranked(self) -> list[Trial]:
        """The best first, the earlier one where two are equal; failed ones last."""
        return sorted(self.trials, key=lambda one: (one.mean is None, -(one.mean or 0), one.number))

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest mean r."""
        first = next(iter(self.ranked), None)
        return None if first is None or first.mean is None else first


def write_found(found: Found) -> None:
    """Write search.json, search.tsv and, once a trial is finished, best.yaml."""
    record = json.dumps(search_record(found), indent=1, allow_nan=False) + "\n"
    replace_file(found.folder / JSON, record.encode())
    replace_file(found.folder / TSV, _tsv(found).encode())
    if found.best is not None:
        replace_file(found.folder / BEST, best_yaml(found, found.best).encode())


def search_record(found: Found) -> dict[str, Any]:
    """What search.json holds."""
    search, best = found.search, found.best
    size = search.space.size
    return {
        "study": search.config({}).name,
        "arm": search.arm,
        "label": "validation stories, also chosen on",
        "score": SCORE,
        "space": search.space.record(),
        "combinations": size,
        "tuner": {
            "optuna": version("optuna"),
            "sampler": "TPE",
            "random_trials": RANDOM_TRIALS,
            "seed": search.seed,
        },
        "trials_wanted": found.wanted,
        "warnings": list(found.warnings),
        "best": None if best is None else best.number,
        "trials": [{**asdict(one), "values": dict(one.values)} for one in found.trials],
    }


def _tsv(found: Found) -> str:
    subjects = _subjects(found)
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    keys = list(found.search.space.entries)
    r = [f"r {subject}" for subject in subjects]
    writer.writerow(["trial", *keys, *r, "mean r", "seconds", "state", "reason"])
    for one in found.trials:
        scores = [one.subjects.get(subject) for subject in subjects]
        values = [json.dumps(one.values[key]) for key in keys]
        numbers = ["" if x is None else repr(x) for x in (*scores, one.mean)]
        writer.writerow([one.number, *values, *numbers, one.seconds, one.state, one.reason])
    return text.getvalue()


def _subjects(found: Found) -> list[str]:
    return list(dict.fromkeys(subject for one in found.trials for subject in one.subjects))


def best_yaml(found: Found, best: Trial) -> str:
    """The whole study with the values of one trial, and where they are from."""
    config = found.search.config(best.values)
    finished = sum(one.mean is not None for one in found.trials)
    values = [f"#   {key}: {_shown(value)}" for key, value in best.values.items()]
    said = [
        f"# Trial {best.number}, the best of {finished} finished ones, of a search over settings",
        f"# of arm {found.search.arm!r}. Validation r {best.mean:.4f}: these stories chose the",
        "# settings, so it is too high for a claim. Found:",
        *values,
    ]
    return "\n".join([*said, "", study_yaml(replace(config, name=f"{config.name}-best"))])


def trial_line(found: Found, one: Trial) -> str:
    """One trial in a line: what was tried, and what it gave."""
    head = f"trial {one.number} of {found.wanted}: {', '.join(_settings(one))}"
    if one.mean is None:
        return f"{head}: FAILED after {one.seconds:.1f} s: {one.reason}"
    subjects = ", ".join(f"{subject} {r:.4f}" for subject, r in one.subjects.items())
    best = found.best or one
    so_far = f"best {best.mean:.4f} in trial {best.number}"
    return f"{head}: validation r {one.mean:.4f} ({subjects}), {one.seconds:.1f} s; {so_far}"


def search_rows(found: Found) -> tuple[list[str], list[list[str]]]:
    """All trials for a terminal, the best first: columns, and one row for each."""
    subjects = _subjects(found)
    abreast = subjects if len(subjects) <= _SUBJECTS_ABREAST else []
    rows = [
        [
            str(one.number),
            "failed" if one.mean is None else f"{one.mean:.4f}",
            *("" if one.mean is None else f"{one.subjects[name]:.4f}" for name in abreast),
            ", ".join(_settings(one)),
        ]
        for one in found.ranked
    ]
    return ["trial", "mean r", *abreast, "settings"], rows


def _settings(one: Trial) -> list[str]:
    names = short_names(list(one.values))
    return [f"{names[key]} {_shown(value)}" for key, value in one.values.items()]


def _shown(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
