"""Files of documents, whole and damaged."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.preparing import documents
from datamodules.preparing.documents import Row, TextFiles, source_key


def rows_of(source):
    return [row for unit in source.units() for batch in source.read(unit) for row in batch]


def write_lines(path, *objects):
    path.write_text("".join(json.dumps(thing) + "\n" for thing in objects))


def test_the_parts_of_a_book_have_one_key():
    keys = {source_key("text", f"https://a.org/book#part-{i}") for i in range(3)} | {
        source_key("x", "https://a.org/book")
    }
    assert keys == {"https://a.org/book"}


@pytest.mark.parametrize("url", ["https://a.org/#party", "https://a.org/#part-1#2", "https://a.org/#other"])
def test_other_addresses_are_kept_whole(url):
    assert source_key("text", url) == url


@pytest.mark.parametrize("url", [None, "", 7])
def test_without_an_address_the_text_is_the_key_whatever_its_case_and_spacing(url):
    assert source_key("The  Cat\nsat", url) == source_key("the cat sat ", None) == "the cat sat"


def test_parquet_and_jsonl_give_the_same_rows(tmp_path):
    rows = [Row(f"text {i}", f"https://a.org/{i}") for i in range(1000)]
    (tmp_path / "p").mkdir()
    (tmp_path / "j").mkdir()
    pq.write_table(pa.Table.from_pylist([{"id": 7} | row._asdict() for row in rows]), tmp_path / "p" / "a.parquet")
    write_lines(tmp_path / "j" / "a.jsonl", *(row._asdict() for row in rows))
    assert rows_of(TextFiles.local(str(tmp_path / "p"))) == rows_of(TextFiles.local(str(tmp_path / "j"))) == rows


def test_files_are_read_in_order_of_name_and_a_glob_chooses(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.jsonl"):
        write_lines(tmp_path / name, {"text": name})
    assert [row.text for row in rows_of(TextFiles.local(str(tmp_path)))] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert [row.text for row in rows_of(TextFiles.local(str(tmp_path / "[bc].jsonl")))] == ["b.jsonl", "c.jsonl"]


@pytest.mark.parametrize("unit_bytes", [1, 100, 350, 10**6])
def test_units_of_any_size_hold_every_row_once_and_in_order(tmp_path, monkeypatch, unit_bytes):
    monkeypatch.setattr(documents, "UNIT_BYTES", unit_bytes)
    pq.write_table(pa.table({"text": [str(i) for i in range(100)]}), tmp_path / "a.parquet", row_group_size=10)
    source = TextFiles.local(str(tmp_path))
    assert [row.text for row in rows_of(source)] == [str(i) for i in range(100)]
    units = list(source.units())
    assert [unit.number for unit in units] == list(range(len(units)))
    assert len(units) == {1: 10, 10**6: 1}.get(unit_bytes, len(units))


def test_compressed_lines_are_read(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write('{"text": "é"}\n')
    assert rows_of(TextFiles.local(str(tmp_path))) == [Row("é")]


def test_one_bad_line_does_not_spoil_the_others(tmp_path):
    lines = {
        b'{"text": "one"}': Row("one"),
        b'{"text": 5}': Row(5),
        b'{"text": "\xff"}': Row(b'{"text": "\xff"}'),
        b"nonsense": Row(None),
        b"[1]": Row(None),
        b'{"text": "\\ud800"}': Row("\ud800"),
        b'{"text": "tw\xc3\xa9\xc2\x85o"}': Row("twé\x85o"),
        b'{"te': Row(None),
    }
    (tmp_path / "a.jsonl").write_bytes(b"\n\n".join(lines))
    assert rows_of(TextFiles.local(str(tmp_path))) == list(lines.values())


def test_invalid_unicode_in_parquet_comes_as_bytes(tmp_path):
    raw = pa.array([b"good", b"\xff bad", None])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    assert rows_of(TextFiles.local(str(tmp_path))) == [Row("good"), Row(b"\xff bad"), Row(None)]


def test_a_parquet_file_without_rows_gives_none(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert rows_of(TextFiles.local(str(tmp_path))) == []


def test_a_parquet_file_without_text_names_its_columns(tmp_path):
    pq.write_table(pa.table({"body": ["x"], "url": ["y"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet has no column `text`, only body, url; rename"):
        rows_of(TextFiles.local(str(tmp_path)))


def test_a_text_column_of_numbers_is_refused(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"column `text` of .*a\.parquet holds int64, expected string"):
        rows_of(TextFiles.local(str(tmp_path)))


def test_a_truncated_parquet_file_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1000] * 100}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.parquet is truncated or no parquet file"):
        rows_of(TextFiles.local(str(tmp_path)))


def test_a_parquet_file_damaged_inside_is_named(tmp_path):
    pq.write_table(pa.table({"text": [f"{i}" * 50 for i in range(1000)]}), tmp_path / "a.parquet", compression="zstd")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[100:400] = bytes(300)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is damaged"):
        rows_of(TextFiles.local(str(tmp_path)))


def test_lines_without_text_are_refused_at_the_first(tmp_path):
    write_lines(tmp_path / "a.jsonl", {"body": "x"})
    with pytest.raises(ValueError, match=r"the first line of .*a\.jsonl is no JSON object with a `text`"):
        rows_of(TextFiles.local(str(tmp_path)))


def test_an_empty_folder_says_what_a_source_may_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no parquet or jsonl files in .*--source takes a folder of them"):
        TextFiles.local(str(tmp_path))
