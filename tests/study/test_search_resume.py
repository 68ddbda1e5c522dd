"""Searches that are killed, refused or fail on the way, and go on."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from search_trees import (
    ARM,
    SEED,
    SPACE,
    outcomes,
    read_record,
    save_both,
    save_space,
    search,
    searched_study,
    without_times,
)
from study_trees import Cli, command, environment, merged, run_process, save_study

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study._search_journal import open_journal
from brainaligner.study._search_space import Choices, Range, SearchSpace
from brainaligner.study._search_trial import Bench, TrialScore
from brainaligner.study._search_tuner import RANDOM_TRIALS, Asked, Journal

Places = tuple[Path, Path]
N_TRIALS = 3


@pytest.fixture(scope="module")
def places(checkpoint: Path, sound_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """The study and its space."""
    folder = tmp_path_factory.mktemp("killed")
    return save_both(folder, searched_study(checkpoint, sound_data), SPACE)


@pytest.fixture(scope="module")
def made(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a search that nothing stopped; to be copied."""
    out = tmp_path_factory.mktemp("whole") / "out"
    search(places, out, trials=N_TRIALS)
    return out


@pytest.fixture
def stored(made: Path, tmp_path: Path) -> Path:
    """A folder with the store alone: trials are quick, and none is in a journal."""
    shutil.copytree(made / "store", tmp_path / "out" / "store")
    return tmp_path / "out"


def finished(journal: Path) -> int:
    """How many trials a journal says are complete."""
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    return sum('"state":1' in line for line in lines)


@pytest.mark.long
def test_a_killed_search_goes_on_to_the_same_table(
    places: Places, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = ("search", places[0], "--space", places[1], "--arm", ARM, "--seed", SEED)
    asked = tuple(map(str, (*asked, "--trials", N_TRIALS, "--out", out, "--threads", "1")))
    with subprocess.Popen(
        command(*asked), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 200
        while not finished(out / "tiny" / "search.journal") and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        time.sleep(0.05)
        process.kill()
    done = run_process(*asked)
    assert done.code == 0, done.err
    assert without_times(read_record(out)) == without_times(read_record(made))
    files = [(folder / "tiny" / "best.yaml").read_bytes() for folder in (out, made)]
    assert files[0] == files[1]


class Killed(BaseException):
    """What no code of ours catches."""


class Moments:
    """Kills at each call of some functions, one after the other."""

    def __init__(self) -> None:
        self.calls, self.deadly = 0, 0

    def watched(self, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.deadly:
                raise Killed
            return function(*args, **kwargs)

        return call


SMALL = SearchSpace(
    "space.yaml",
    {
        "rate": Range(1e-5, 1e-1, log=True),
        "layer": Range(1, 4),
        "delays": Choices(([0], [1], [1, 2])),
    },
)


def measured(values: Mapping[str, Any]) -> float:
    """A score with one best place."""
    rate = -abs(np.log10(values["rate"]) + 3)
    return float(rate - abs(values["layer"] - 2) - 0.3 * len(values["delays"]))


@contextmanager
def opened(folder: Path, space: SearchSpace = SMALL, seed: int = 0) -> Iterator[Journal]:
    with open_journal(folder, space, seed, {"seed": seed}) as journal:
        yield journal


def go_on(folder: Path, until: int, space: SearchSpace = SMALL) -> None:
    """Search without a study: scores are known, and each third trial fails."""
    with opened(folder, space) as journal:
        while len(journal.trials()) < until:
            asked = journal.ask()
            assert asked is not None
            if asked.number % 3 == 0:
                journal.fail(asked, "refused", 0.0)
            else:
                journal.finish(asked, TrialScore({"P1": measured(asked.values)}, {}), 0.0)


def trials_of(folder: Path, space: SearchSpace = SMALL) -> list[Any]:
    with opened(folder, space) as journal:
        return [(t.number, dict(t.values), t.state, t.mean, t.reason) for t in journal.trials()]


N_SUGGESTED = RANDOM_TRIALS * 2


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("unbroken")
    go_on(folder, N_SUGGESTED)
    return trials_of(folder)


def test_trials_are_suggested_by_scores(unbroken: list[Any], tmp_path: Path) -> None:
    assert [one[0] for one in unbroken] == list(range(1, N_SUGGESTED + 1))
    assert [one[2] == "failed" for one in unbroken] == [
        n % 3 == 0 for n in range(1, N_SUGGESTED + 1)
    ]
    means = [one[3] for one in unbroken if one[3] is not None]
    assert np.mean(means[RANDOM_TRIALS:]) > np.mean(means[:RANDOM_TRIALS])
    for _, values, *_ in unbroken:
        assert isinstance(values["layer"], int)
        assert 1 <= values["layer"] <= 4
        assert 1e-5 <= values["rate"] <= 1e-1


def test_a_kill_at_any_step_changes_nothing(
    unbroken: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.storages.journal import JournalFileBackend

    moments = Moments()
    watched = moments.watched(JournalFileBackend.append_logs)
    monkeypatch.setattr(JournalFileBackend, "append_logs", watched)
    kills = 0
    rng = np.random.default_rng(2)
    while kills < 60:
        moments.calls, moments.deadly = 0, int(rng.integers(1, 14))
        try:
            go_on(tmp_path, N_SUGGESTED)
        except Killed:
            kills += 1
            with (tmp_path / "search.journal").open("ab") as file:
                file.write(b'{"op_code":6,"worker' * (kills % 2))
        else:
            break
    assert kills > 10
    moments.deadly = 0
    go_on(tmp_path, N_SUGGESTED)
    assert trials_of(tmp_path) == unbroken


def test_a_small_space_is_tried_to_its_end_and_no_further(tmp_path: Path) -> None:
    entries = {key: SMALL.entries[key] for key in ("layer", "delays")}
    space = SearchSpace("space.yaml", entries)
    assert space.size == 12
    found = []
    with opened(tmp_path, space) as journal:
        while (asked := journal.ask()) is not None:
            found.append(json.dumps(asked.values, sort_keys=True))
            journal.finish(asked, TrialScore({"P1": float(asked.values["layer"])}, {}), 0.0)
    assert len(set(found)) == len(found) == 12


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on(tmp_path, 4)
    before = trials_of(tmp_path)
    for line in (tmp_path / "search.journal").read_text(encoding="utf-8").splitlines():
        assert isinstance(json.loads(line), dict)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler", "dump", "dumps"):
        monkeypatch.setattr(pickle, name, refuse)
    assert trials_of(tmp_path) == before
    go_on(tmp_path, 6)


@pytest.mark.parametrize(
    "content",
    [b"no json\n", b"{}\n", b'["a list"]\n', b'{"op_code":99,"worker_id":"a"}\n', b"\xff\xfe\n"],
)
def test_a_damaged_journal_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "search.journal").write_bytes(content + content)
    with pytest.raises(InputError, match=r"search\.journal: got a damaged journal"):
        go_on(tmp_path, 1)


def test_one_process_at_a_time(places: Places, made: Path, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    with (
        FileLock(out / "tiny" / "search.journal.lock"),
        pytest.raises(InputError, match="a search that runs in another process"),
    ):
        search(places, out, trials=N_TRIALS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": SEED + 1}, r"seed \(3, now 4\)"),
        ({"arm": "first"}, r"arm \(.second., now .first.\)"),
        (
            {"overrides": ("arms.second.ridge.alphas=[5]",)},
            r"study\.arms\.second\.ridge\.alphas \(\[1, 100, 10000\], now \[5\]\)",
        ),
        ({"overrides": ("split.seed=4",)}, r"study\.split\.seed \(0, now 4\)"),
        ({"overrides": ("evaluation.cuts=[1]",)}, r"study\.evaluation\.cuts"),
    ],
)
def test_another_search_is_refused_and_says_what_differs(
    places: Places, made: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    before = (out / "tiny" / "search.journal").read_bytes()
    space = dict(SPACE) | {"arms.first.design.delays": {"choices": [[0], [1]]}}
    if changes.get("arm") == "first":
        places = places[0], save_space(tmp_path / "space.yaml", space)
    with pytest.raises(InputError, match=said):
        search(places, out, trials=N_TRIALS, **changes)
    assert (out / "tiny" / "search.journal").read_bytes() == before


def test_another_space_is_refused(places: Places, made: Path, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    wider = merged(SPACE, {"features.two.text.layer": {"low": 1}})
    space = save_space(tmp_path / "space.yaml", wider)
    with pytest.raises(InputError, match=r"space\.features\.two\.text\.layer\.low \(0, now 1\)"):
        search((places[0], space), out, trials=N_TRIALS)


def test_other_responses_are_refused_and_those_of_other_arms_are_not(
    checkpoint: Path, sound_data: Path, made: Path, places: Places, tmp_path: Path
) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    changed = searched_study(checkpoint, sound_data, {"title": "Other", "null_draws": 3})
    changed["arms"]["first"]["design"] = {"delays": [5]}
    study = save_study(tmp_path / "study.yaml", changed)
    assert len(search((study, places[1]), out, trials=N_TRIALS).trials) == N_TRIALS
    data = shutil.copytree(sound_data, tmp_path / "data")
    used = next(one["settings"] for one in _recipes(out, "readout"))
    story = used["validation"][0][0]
    with np.load(data / "P2.npz") as archive:
        rows = {name: archive[name] for name in archive.files}
    rows[story] = rows[story] + 1
    np.savez(data / "P2.npz", **rows)
    with pytest.raises(InputError, match=f"data.responses of P2 to {story}"):
        search(places, out, trials=N_TRIALS, data=data)


def _recipes(out: Path, stage: str) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in (out / "store" / stage).glob("*/recipe.json")]


def test_a_refused_trial_is_recorded_and_the_search_goes_on(
    checkpoint: Path, sound_data: Path, made: Path, tmp_path: Path
) -> None:
    space = {
        "features.two.text.context_rows": {"choices": [0, 2]},
        "features.two.text.context_words": {"choices": [0, 5]},
    }
    plain = {"features": {"two": {"text": {"context_rows": 0}}}}
    places = save_both(tmp_path, searched_study(checkpoint, sound_data, plain), space)
    found = search(places, tmp_path / "out", trials=9)
    assert len(found.trials) == 4
    (refused,) = [one for one in found.trials if one.state == "failed"]
    assert list(refused.values.values()) == [2, 5]
    assert "context" in refused.reason
    assert (refused.mean, refused.subjects) == (None, {})
    table = (tmp_path / "out" / "tiny" / "search.tsv").read_text(encoding="utf-8")
    assert refused.reason in table
    assert read_record(tmp_path / "out")["trials"][refused.number - 1]["state"] == "failed"


def failing(monkeypatch: pytest.MonkeyPatch, faults: Mapping[int, Exception]) -> list[int]:
    """Make some calls of `Bench.score` fail, counted from 1."""
    plain, calls = Bench.score, [0]

    def score(bench: Bench, plan: Any) -> TrialScore:
        calls[0] += 1
        if calls[0] in faults:
            raise faults[calls[0]]
        return plain(bench, plan)

    monkeypatch.setattr(Bench, "score", score)
    return calls


def test_three_failures_in_a_row_end_a_search(
    cli: Cli, places: Places, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("search", places[0], "--space", places[1], "--arm", ARM, "--seed", str(SEED))
    asked = (*map(str, asked), "--trials", "20", "--out", str(stored))
    fault = BrainAlignerError("loss is NaN")
    calls = failing(monkeypatch, dict.fromkeys((2, 3, 5, 6, 7), fault))
    done = cli(*asked)
    assert done.code == 1
    assert "3 trials failed one after the other" in done.err
    states = [one["state"] for one in read_record(stored)["trials"]]
    assert states == [
        "failed" if n in (2, 3, 5, 6, 7) else "finished" for n in range(1, calls[0] + 1)
    ]
    assert "loss is NaN" in (stored / "tiny" / "search.tsv").read_text(encoding="utf-8")
    assert (stored / "tiny" / "best.yaml").is_file()


def test_a_score_that_is_no_number_fails_its_trial(
    places: Places, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = TrialScore({"P1": float("nan"), "P2": 0.5}, {})
    monkeypatch.setattr(Bench, "score", lambda bench, plan: nothing)
    with pytest.raises(BrainAlignerError, match="no trial finished"):
        search(places, stored, trials=2)
    states = [(one["state"], one["reason"]) for one in read_record(stored)["trials"]]
    assert states == [("failed", "mean r is not a number")] * 2
    assert read_record(stored)["best"] is None
    assert not (stored / "tiny" / "best.yaml").exists()


def test_a_full_disk_ends_a_search_and_its_trial_is_tried_again(
    places: Places, made: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = InputError("out", got="no space left", wanted="room", do="Free space.")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patched:
        failing(patched, {2: full})
        with pytest.raises(InputError, match="no space left"):
            search(places, stored, trials=N_TRIALS)
    assert len(read_record(stored)["trials"]) == 1
    assert outcomes(search(places, stored, trials=N_TRIALS)) == outcomes(
        search(places, made, trials=N_TRIALS)
    )


def test_a_stopped_search_says_how_to_go_on(
    cli: Cli, places: Places, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, {2: KeyboardInterrupt()})  # type: ignore[dict-item]
    asked = ("search", places[0], "--space", places[1], "--arm", ARM, "--seed", str(SEED))
    done = cli(*map(str, asked), "--trials", "3", "--out", str(stored))
    assert done.code == 130
    assert done.lines[-1] == "stopped; run the same command again to go on"
    assert len(read_record(stored)["trials"]) == 1


def test_a_trial_is_asked_for_as_a_whole(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        asked = journal.ask()
    assert isinstance(asked, Asked)
    assert (asked.number, set(asked.values)) == (1, set(SMALL.entries))
    assert asked.values["delays"] in ([0], [1], [1, 2])
