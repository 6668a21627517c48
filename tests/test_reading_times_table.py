"""The three forms in which reading times are published give the same words, and the times that were written."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_stories import STORIES, cells, words, write_folder, write_means, write_participants, write_words

from datamodules.reading_times_table import read_assembly, read_participants, read_word_means, realigned


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path)


def test_words_keep_their_order_and_their_quotes(folder: Path) -> None:
    times = read_word_means(folder, "processed_wordinfo.tsv")
    assert times.words == [word for word, _, _ in words()]
    assert {"None", "NA", '"quiet'} <= set(times.words)
    assert times.story.tolist() == [item for _, _, item in words()]
    assert times.first.sum() == times.last.sum() == len(STORIES)


def test_means_and_their_errors_belong_to_their_words(folder: Path) -> None:
    times = read_word_means(folder, "processed_wordinfo.tsv")
    lengths = np.array([len(word) for word in times.words])
    assert times.mean.tolist() == (300 + 10 * lengths).tolist()
    np.testing.assert_allclose(np.exp(times.mean_log), 299 + 10 * lengths)
    assert set(times.error) == {20**2 / 4}


def test_a_word_that_nobody_read_has_no_time(folder: Path) -> None:
    path = folder / "processed_wordinfo.tsv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("None")))
    times = read_word_means(folder, path.name)
    assert [word for word, mean in zip(times.words, times.mean, strict=True) if np.isnan(mean)] == ["None"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("None\t6\t1", "none\t6\t1", "disagree on 1 words.*'none' and 'None'"),
        ("None\t6\t1", "None\t60\t1", "names 1 words that are not in"),
        ("None\t6\t1", "None\t5\t1", "1 words twice"),
        ("meanItemRT", "mean", "lacks the columns meanItemRT"),
    ],
)
def test_a_table_of_other_words_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "processed_wordinfo.tsv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_word_means(folder, path.name)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="languageMIT/naturalstories"):
        read_word_means(tmp_path, "processed_wordinfo.tsv")


def test_participants_give_means_without_those_who_hardly_read(folder: Path) -> None:
    times = read_participants(folder)
    expected = cells()[:, :-1]  # the last one has six times
    assert times.times is not None
    assert times.times.shape == expected.shape
    np.testing.assert_allclose(times.mean, np.nanmean(expected, axis=1), rtol=1e-6)
    np.testing.assert_allclose(times.mean_log, np.nanmean(np.log(expected), axis=1), rtol=1e-6)
    n = np.isfinite(expected).sum(axis=1)
    np.testing.assert_allclose(times.error, np.nanvar(expected, axis=1, ddof=1) / n, rtol=1e-4)


def test_hasty_slow_and_inattentive_reading_is_left_out(folder: Path) -> None:
    path = folder / "processed_RTs.tsv"
    lines = path.read_text().splitlines()
    lines += [f"R1\t900\t{correct}\t1\t1\t{time}\tTulip\t1\t1" for time, correct in ((100, 6), (3000, 6), (900, 4))]
    before = read_participants(folder).mean
    path.write_text("\n".join(lines) + "\n")
    np.testing.assert_array_equal(read_participants(folder).mean, before)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("filling", [None, -1.0])
def test_the_assembly_gives_what_the_participants_table_gives(
    folder: Path, turned: bool, filling: float | None
) -> None:
    h5py = pytest.importorskip("h5py")
    path = folder / "assy_Futrell2018.nc"
    values = cells() if filling is None else np.nan_to_num(cells(), nan=filling)
    with h5py.File(path, "w") as file:
        file["data"] = values.T if turned else values
        if filling is not None:
            file["data"].attrs["_FillValue"] = np.array([filling])
        file.create_dataset("word", data=[word for word, _, _ in words()], dtype=h5py.string_dtype())
        file["story_id"] = [item + 4 for _, _, item in words()]
    assembly, table = read_assembly(path), read_participants(folder)
    assert assembly.words == table.words
    assert assembly.story.tolist() == table.story.tolist()
    assert assembly.position.tolist() == table.position.tolist()
    np.testing.assert_allclose(assembly.mean, table.mean, rtol=1e-6)


def test_a_damaged_assembly_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "plain.nc").write_text("CDF")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        read_assembly(tmp_path / "plain.nc")
    with h5py.File(tmp_path / "empty.nc", "w") as file:
        file["data"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match="lacks story_id, word"):
        read_assembly(tmp_path / "empty.nc")
    with h5py.File(tmp_path / "short.nc", "w") as file:
        file["data"] = np.zeros((2, 5))
        file.create_dataset("word", data=["a", "b", "c"], dtype=h5py.string_dtype())
        file["story_id"] = [1, 1, 1]
    with pytest.raises(ValueError, match="do not fit 3 words"):
        read_assembly(tmp_path / "short.nc")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_assembly(tmp_path / "nowhere.nc")


def test_without_h5py_the_assembly_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(RuntimeError, match="pip install h5py"):
        read_assembly(tmp_path / "assy_Futrell2018.nc")


def test_realigning_moves_times_within_their_story(folder: Path) -> None:
    released = read_participants(folder)
    moved = realigned(released)
    assert moved.words == released.words
    assert np.isnan(moved.mean[moved.first]).all()
    for name in ("mean", "mean_log", "error", "times"):
        before, after = getattr(released, name), getattr(moved, name)
        np.testing.assert_array_equal(after[~moved.first], before[~moved.last])


def test_words_with_spaces_are_refused(folder: Path) -> None:
    times = read_word_means(folder, "processed_wordinfo.tsv")
    with pytest.raises(ValueError, match=r"word 1 of the stories is 'a b'"):
        replace(times, words=["a b", *times.words[1:]])


def test_two_words_at_one_place_are_refused(tmp_path: Path) -> None:
    write_words(tmp_path)
    write_means(tmp_path)
    write_participants(tmp_path, cells())
    with (tmp_path / "all_stories.tok").open("a") as file:
        file.write("again\t1\t1\n")
    with pytest.raises(ValueError, match="two words at one place"):
        read_word_means(tmp_path, "processed_wordinfo.tsv")
