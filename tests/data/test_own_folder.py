"""Own data in the documented folder, whole, untidy and broken."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_trees import N_ROWS

from brainaligner.core import Clock, InputError, array_digest
from brainaligner.data import Dataset, Problem, open_dataset


def read_everything(dataset: Dataset, subject: str) -> None:
    for story in dataset.stories(subject):
        dataset.responses(subject, story)


def found(folder: Path, severity: str) -> list[Problem]:
    problems = open_dataset("folder", folder).problems()
    return [problem for problem in problems if problem.severity == severity]


def arrays(folder: Path, subject: str = "P1") -> dict[str, np.ndarray]:
    with np.load(folder / f"{subject}.npz") as file:
        return {name: file[name] for name in file.files}


def change_words(folder: Path, change: Callable[[str], str | bytes]) -> None:
    path = folder / "words.csv"
    content = change(path.read_text(encoding="utf-8"))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def change_facts(folder: Path, **facts: object) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts), encoding="utf-8")


def test_a_sound_folder(own_folder: Path) -> None:
    dataset = open_dataset("folder", own_folder)
    assert dataset.subjects == ("P1", "P2")
    assert dataset.stories("P1") == dataset.stories("P2") == ("alpha", "beta", "gamma")
    assert dataset.clock == Clock(1.5, 9.0)
    assert (dataset.space("P2").kind, dataset.space("P2").size) == ("parcels", 7)
    assert [dataset.presentations(s) for s in ("alpha", "gamma")] == [1, 2]
    assert dataset.problems() == ()
    part = dataset.responses("P1", "beta", slice(1, 3))
    np.testing.assert_array_equal(part.values, arrays(own_folder)["beta"][:, 1:3])
    assert dataset.responses_digest("P1", "beta") == array_digest(arrays(own_folder)["beta"])


def test_repeats_of_an_hdf5_subject(own_folder: Path) -> None:
    dataset = open_dataset("folder", own_folder)
    with h5py.File(own_folder / "P2.hf5") as file:
        repeats = file["repeats/gamma"][:].astype(np.float32)
    given = dataset.repeats("P2", "gamma", slice(2, 5))
    assert given is not None
    assert given.repeats is not None
    np.testing.assert_array_equal(given.repeats, repeats[:, :, 2:5])
    assert dataset.repeats("P2", "alpha") is None
    assert dataset.repeats("P1", "gamma") is None
    assert dataset.responses("P1", "gamma").presentations == 2


def test_the_digest_sees_the_single_presentations(own_folder: Path) -> None:
    before = open_dataset("folder", own_folder).responses_digest("P2", "gamma")
    with h5py.File(own_folder / "P2.hf5", "r+") as file:
        file["repeats/gamma"][0, 0, 0] += 1.0
    assert open_dataset("folder", own_folder).responses_digest("P2", "gamma") != before


def test_defaults_are_told(own_folder: Path) -> None:
    (own_folder / "dataset.json").unlink()
    dataset = open_dataset("folder", own_folder)
    assert (dataset.clock, dataset.space("P1").kind) == (Clock(2.0, 11.0), "voxels")
    (note,) = found(own_folder, "note")
    assert "tr 2 s, first row centred at 11 s, voxels" in note.got


def test_labels_are_cut_with_the_columns(own_folder: Path) -> None:
    change_facts(own_folder, labels=list("abcde"))
    dataset = open_dataset("folder", own_folder)
    assert dataset.responses("P1", "alpha", slice(1, 3)).space.labels == ("b", "c")
    with pytest.raises(InputError, match="5 labels"):
        dataset.space("P2")
    assert found(own_folder, "error")


def test_an_untidy_folder_works_and_says_what_it_did(own_folder: Path) -> None:
    change_words(
        own_folder,
        lambda text: (
            b"\xef\xbb\xbf"
            + text.replace("alpha", " Alpha ")
            .replace("story,", "Story,")
            .replace("\n", "\r\n")
            .encode()
        ),
    )
    stories = arrays(own_folder)
    np.savez(own_folder / "P1.npz", ALPHA=stories["alpha"], beta=stories["beta"])
    dataset = open_dataset("folder", own_folder)
    assert dataset.stories("P1") == ("Alpha", "beta")
    assert dataset.stories("P2") == ("Alpha", "beta", "gamma")
    np.testing.assert_array_equal(dataset.responses("P1", "Alpha").values, stories["alpha"])
    assert found(own_folder, "error") == []
    (warning,) = found(own_folder, "warning")
    assert "words and no responses of this subject for 1 stories: gamma" in warning.got
    notes = {note.got for note in found(own_folder, "note")}
    assert notes == {
        "names spelled differently: 'ALPHA' for 'Alpha'",
        "names spelled differently: 'alpha' for 'Alpha'",
    }


def test_ambiguous_spellings_are_not_matched(own_folder: Path) -> None:
    stories = arrays(own_folder)
    np.savez(own_folder / "P1.npz", ALPHA=stories["alpha"], Alpha=stories["alpha"] + 1)
    assert open_dataset("folder", own_folder).stories("P1") == ()
    assert any("no story with both" in problem.got for problem in found(own_folder, "error"))


def test_a_parallel_respdict_fixes_the_rows(own_folder: Path) -> None:
    rows = {"alpha": N_ROWS + 20, "beta": N_ROWS + 21, "Gamma": N_ROWS + 20}
    (own_folder / "respdict.json").write_text(json.dumps(rows), encoding="utf-8")
    dataset = open_dataset("folder", own_folder)
    assert dataset.n_rows("P1", "alpha") == N_ROWS
    with pytest.raises(InputError, match="30 rows; wanted 31"):
        dataset.n_rows("P1", "beta")
    assert len(found(own_folder, "error")) == 2


def test_a_division_beside_the_data_is_left_alone(own_folder: Path) -> None:
    (own_folder / "split.json").write_text("not even JSON", encoding="utf-8")
    assert open_dataset("folder", own_folder).problems() == ()


def test_a_fault_of_words_that_two_subjects_share_is_said_once(own_folder: Path) -> None:
    change_words(own_folder, lambda text: text + "beta,boat,nan,9\n")
    (error,) = found(own_folder, "error")
    assert "nan" in error.got


def test_responses_off_zero_are_warned_of(own_folder: Path) -> None:
    raw = {story: 100 * y + 10_000 for story, y in arrays(own_folder).items()}
    raw["beta"] = arrays(own_folder)["beta"]
    np.savez(own_folder / "P1.npz", **raw)
    (warning,) = found(own_folder, "warning")
    assert warning.where.endswith("subject P1")
    assert "in 100% of the columns of 2 stories (alpha, gamma)" in warning.got
    assert "ridge.intercept: true" in warning.do


def save(**changed: np.ndarray) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        np.savez(folder / "P1.npz", **(arrays(folder) | changed))

    return change


def object_array(folder: Path) -> None:
    values = np.empty((N_ROWS, 5), dtype=object)
    np.savez(folder / "P1.npz", **(arrays(folder) | {"alpha": values}))


def cut_zip(folder: Path) -> None:
    path = folder / "P1.npz"
    path.write_bytes(path.read_bytes()[:-100])


def no_zip(folder: Path) -> None:
    (folder / "P1.npz").write_bytes(b"not a zip file")


def flip_a_byte(folder: Path) -> None:
    path = folder / "P1.npz"
    raw = bytearray(path.read_bytes())
    raw[400] ^= 0xFF
    path.write_bytes(raw)


def cut_member(folder: Path) -> None:
    with zipfile.ZipFile(folder / "P1.npz") as old:
        raw = old.read("alpha.npy")
    with zipfile.ZipFile(folder / "P1.npz", "w") as new:
        new.writestr("alpha.npy", raw[:-40])


def shift_words(by: float) -> Callable[[Path], None]:
    return lambda folder: change_words(
        folder, lambda text: text + f"alpha,late,{48 + by},{49 + by}\n"
    )


CONTENT_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickled": (object_array, "pickled array of Python objects"),
    "cut zip": (cut_zip, r"P1\.npz.*cannot be read"),
    "no zip": (no_zip, r"P1\.npz.*cannot be read"),
    "a changed byte": (flip_a_byte, r"P1\.npz.*Bad CRC"),
    "cut member": (cut_member, r"P1\.npz.*bytes of values where shape"),
    "one dimension": (save(alpha=np.ones(30)), r"shape \(30,\)"),
    "integers": (save(alpha=np.ones((30, 5), dtype=int)), "int64 array"),
    "text": (save(alpha=np.full((30, 5), "x")), "<U1 array"),
    "no rows": (save(alpha=np.ones((0, 5))), r"shape \(0, 5\)"),
    "other columns": (save(beta=np.ones((30, 4))), "4 columns.*5, as in"),
    "words beyond the end": (shift_words(42.0), "a word at 90 s"),
    "a text for a time": (
        lambda folder: change_words(folder, lambda t: t + "alpha,x,soon,99\n"),
        "'soon'",
    ),
}


@pytest.mark.parametrize("fault", CONTENT_FAULTS)
def test_faulty_contents_are_reported_and_spoil_nobody_else(own_folder: Path, fault: str) -> None:
    break_it, message = CONTENT_FAULTS[fault]
    break_it(own_folder)
    dataset = open_dataset("folder", own_folder)
    with pytest.raises(InputError, match=message):
        read_everything(dataset, "P1")
    assert dataset.responses("P2", "beta").n_rows == N_ROWS
    assert found(own_folder, "error")


def test_nothing_is_unpickled(own_folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (own_folder / "trapped",))

    np.savez(own_folder / "P1.npz", alpha=np.array([[Trap()]], dtype=object))
    open_dataset("folder", own_folder).problems()
    assert not (own_folder / "trapped").exists()


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def no_responses(folder: Path) -> None:
    (folder / "P1.npz").unlink()
    (folder / "P2.hf5").unlink()


def facts(**changed: object) -> Callable[[Path], None]:
    return lambda folder: change_facts(folder, **changed)


def write_facts(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "dataset.json").write_text(text, encoding="utf-8")


LAYOUT_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no words": (rename("words.csv", "word.csv"), "0 word tables"),
    "no column": (lambda f: change_words(f, lambda t: t.replace("onset_s", "start")), "onset_s"),
    "no responses": (no_responses, "no file of responses"),
    "a subject twice": (rename("P2.hf5", "P1.h5"), "P1.h5 and P1.npz"),
    "unknown key": (facts(first_center=9), "'first_center'.*Did you mean 'first_centre'"),
    "unknown space": (facts(space="voxel"), "'voxel'.*Did you mean 'voxels'"),
    "space of no text": (facts(space=3), "unknown kind '3'"),
    "no TR": (facts(tr=0), "above 0"),
    "a text for TR": (facts(tr="2"), "a number of seconds"),
    "true for TR": (facts(tr=True), "a number of seconds"),
    "one presentation": (facts(repeated={"gamma": 1}), "2 or more"),
    "a list": (facts(repeated=["gamma"]), "2 or more"),
    "unknown repeated": (facts(repeated={"gama": 3}), "'gama'.*Did you mean 'gamma'"),
    "labels of no text": (facts(labels=[1, 2]), "a list of names"),
    "broken JSON": (write_facts("{"), "no valid JSON"),
    "JSON too deep": (write_facts("[" * 200_000), "no valid JSON"),
    "a number too long": (write_facts('{"tr": ' + "1" * 5000 + "}"), "no valid JSON"),
    "a TR of 400 digits": (write_facts('{"tr": ' + "1" * 400 + "}"), "a number of seconds"),
    "a TR in milliseconds": (facts(tr=2000), "a number of seconds below 20"),
    "a first row in milliseconds": (facts(first_centre=11_000), "a number of seconds below 1000"),
    "a first row in the far future": (facts(first_centre=1e300), "a number of seconds"),
}


@pytest.mark.parametrize("fault", LAYOUT_FAULTS)
def test_layout_faults_are_raised_on_opening(own_folder: Path, fault: str) -> None:
    break_it, message = LAYOUT_FAULTS[fault]
    break_it(own_folder)
    with pytest.raises(InputError, match=message):
        open_dataset("folder", own_folder)


def test_whole_numbers_do_for_seconds(own_folder: Path) -> None:
    change_facts(own_folder, tr=2, first_centre=10)
    assert open_dataset("folder", own_folder).clock == Clock(2.0, 10.0)


@pytest.mark.parametrize(
    ("reader", "name", "message"),
    [
        ("lebel", "own", "unknown reader 'lebel'.*Did you mean 'lebel2023'"),
        ("folder", "none", "no such folder"),
        ("folder", "own/words.csv", "a file"),
        ("lebel2023", "own", "preprocessed_data/ in 0 places"),
        ("alice2016", "own", r"no roi_timecourses\.npz"),
    ],
)
def test_wrong_reader_or_folder(own_folder: Path, reader: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(reader, own_folder.parent / name)
