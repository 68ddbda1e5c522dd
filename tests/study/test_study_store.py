"""The store, its recipes and its files."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from brainaligner.core import BrainAlignerError, InputError
from brainaligner.study import Recipe, Store
from brainaligner.study._disk import (
    check_free_space,
    npz_names,
    process_tag,
    read_array,
    read_npz,
    write_npz,
    writing_to,
)
from brainaligner.study._settings import canonical

RECIPE = Recipe("stage", 1, {"a": 1}, {"in": "x"})


def _write(folder: Path) -> None:
    (folder / "payload.txt").write_text("payload")


def test_an_artifact_is_built_once_with_its_recipe(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").open()
    assert not store.has(RECIPE)
    folder = store.ensure(RECIPE, _write)
    assert folder == tmp_path / "store" / "stage" / RECIPE.key
    assert json.loads((folder / "recipe.json").read_text()) == {
        "stage": "stage",
        "version": 1,
        "settings": {"a": 1},
        "inputs": {"in": "x"},
    }

    def refuse(_: Path) -> None:
        raise AssertionError("built twice")

    assert store.ensure(RECIPE, refuse) == folder
    assert (folder.stat().st_mode & 0o777) == (0o777 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "other",
    [
        Recipe("other", 1, {"a": 1}, {"in": "x"}),
        Recipe("stage", 2, {"a": 1}, {"in": "x"}),
        Recipe("stage", 1, {"a": 2}, {"in": "x"}),
        Recipe("stage", 1, {"a": 1}, {"in": "y"}),
        Recipe("stage", 1, {"a": 1}, {"on": "x"}),
        Recipe("stage", 1, {"a": "1"}, {"in": "x"}),
        Recipe("stage", 1, {"a": True}, {"in": "x"}),
    ],
)
def test_all_of_a_recipe_enters_its_key(other: Recipe) -> None:
    assert other.key != RECIPE.key


def test_equal_settings_have_equal_keys() -> None:
    ordered = Recipe("s", 1, {"a": 1, "b": (1.0, 0.5)}, {"x": "1", "y": "2"})
    other = Recipe("s", 1, {"b": [1, 0.5], "a": 1.0}, {"y": "2", "x": "1"})
    assert ordered.key == other.key


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_canonical_settings_are_stable(value: object) -> None:
    once = canonical(value)
    assert canonical(once) == once
    assert once == value or isinstance(value, dict | list)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").open()

    def fail(folder: Path) -> None:
        _write(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.ensure(RECIPE, fail)
    assert not store.has(RECIPE)
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_an_artifact_without_recipe_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").open()
    folder = store.ensure(RECIPE, _write)
    (folder / "recipe.json").unlink()
    store.ensure(RECIPE, _write)
    assert store.has(RECIPE)


def test_two_builders_of_one_artifact_do_not_disturb_each_other(tmp_path: Path) -> None:
    together = threading.Barrier(4)
    failures: list[BaseException] = []

    def build(folder: Path) -> None:
        together.wait(timeout=20)
        _write(folder)

    def work() -> None:
        try:
            Store(tmp_path / "store").open().ensure(RECIPE, build)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not failures
    assert (Store(tmp_path / "store").path(RECIPE) / "payload.txt").read_text() == "payload"
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_who_waits_for_another_process_says_so_once_and_builds_nothing(tmp_path: Path) -> None:
    begun, waited = threading.Event(), threading.Event()
    built: list[Path] = []
    told: list[str] = []

    def build(folder: Path, _: Path) -> None:
        built.append(folder)
        begun.set()
        assert waited.wait(timeout=60)
        _write(folder)

    def told_to_wait(stage: str) -> None:
        told.append(stage)
        waited.set()

    first, second = (Store(tmp_path / "store").open() for _ in range(2))
    first.waits = second.waits = told_to_wait
    thread = threading.Thread(target=first.ensure_resumable, args=(RECIPE, build))
    thread.start()
    assert begun.wait(timeout=60)
    path = second.ensure_resumable(RECIPE, build)
    thread.join(timeout=60)
    assert told == [RECIPE.stage]
    assert len(built) == 1
    assert (path / "payload.txt").read_text() == "payload"


def test_work_on_what_somebody_else_finished_goes_unless_it_is_going_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").open()
    store.ensure(RECIPE, _write)
    work = tmp_path / "store" / "unfinished" / RECIPE.stage / RECIPE.key
    work.mkdir(parents=True)
    (work / "checkpoint").write_bytes(b"weights")
    with FileLock(work.with_suffix(".lock")):
        store.ensure_resumable(RECIPE, lambda *_: None)
        assert work.is_dir()
    store.ensure_resumable(RECIPE, lambda *_: None)
    assert not work.exists()


def test_shared_states_go_when_nobody_uses_them_and_their_folder_stays(tmp_path: Path) -> None:
    first, second = (Store(tmp_path / "store").open() for _ in range(2))
    first.drop_shared()  # nothing is there yet
    with first.shared_states.use() as folder:
        folder.mkdir()
        (folder / "a.npy").write_bytes(b"states")
        (folder / "b.1.2.part").write_bytes(b"sta")
        second.drop_shared()
        assert len([*folder.iterdir()]) == 2
        with second.shared_states.use() as again:
            assert again == folder
    second.drop_shared()
    assert folder.is_dir()
    assert not [*folder.iterdir()]


def test_what_the_dead_left_is_removed_and_what_the_living_build_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "tmp"
    host, started = socket.gethostname(), int(time.time()) - 500
    names = {
        f"{process_tag()}.living": True,
        f"{host}.999999999.{started}.dead": False,
        f"{host}.{os.getpid()}.{started - 10**7}.reused": False,
        f"elsewhere.example.org.12.{started}.recent": True,
        f"elsewhere.example.org.12.{started}.old": False,
        "nonsense": False,
    }
    for name in names:
        (folder / name).mkdir(parents=True)
    long_ago = time.time() - 30 * 24 * 3600
    os.utime(folder / f"elsewhere.example.org.12.{started}.old", (long_ago, long_ago))
    Store(tmp_path / "store").open()
    assert {path.name for path in folder.iterdir()} == {n for n, kept in names.items() if kept}


def test_arrays_come_back_and_bytes_do_not_depend_on_time(tmp_path: Path) -> None:
    arrays = {"b/ü": np.arange(6.0).reshape(2, 3), "a": np.array(True), ".": np.zeros((0, 2))}
    write_npz(tmp_path / "one.npz", arrays)
    time.sleep(2.1)  # zip times have steps of two seconds
    write_npz(tmp_path / "two.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = read_npz(tmp_path / "one.npz")
    assert npz_names(tmp_path / "one.npz") == tuple(sorted(arrays))
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as archive:  # and for everybody else
        np.testing.assert_array_equal(archive["a"], arrays["a"])


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "unknown", "pickled"])
def test_damaged_arrays_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.npz"
    write_npz(path, {"a": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:4000])
    elif damage == "flipped":
        content[4000] ^= 1
        path.write_bytes(content)
    elif damage == "pickled":
        np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(BrainAlignerError, match="damaged artifact") as caught:
        read_array(path, "b" if damage == "unknown" else "a")
    assert caught.value.exit_code == 1
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left to write"),
        (
            SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
            "no space left to write",
        ),
        (OSError(errno.EDQUOT, "Quota"), "no space left to write"),
        (OSError("Can't write data (errno = 28, error message = 'No space')"), "no space left"),
        (RuntimeError("Can't decrement id ref count (errno = 27, ...)"), "no space left to write"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be written"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), "cannot be written"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ],
)
def test_failing_writes_are_one_clear_error(tmp_path: Path, error: Exception, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught, writing_to(tmp_path):
        raise error
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output"), RuntimeError("a bug")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing_to(tmp_path):
        raise error
    assert caught.value is error


def test_enough_space_is_no_error_and_too_little_is(tmp_path: Path) -> None:
    check_free_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(InputError, match="GiB free disk space"):
        check_free_space(tmp_path, 2**62)
