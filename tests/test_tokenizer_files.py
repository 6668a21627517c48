"""The tokenizer as transformers reads it: the same ids as tiktoken's."""

import json
import os
from pathlib import Path

import pytest

from datamodules.tokenizer import get_tokenizer
from exchange.tokenizer_files import SIZES, STAND_INS, merges_of, printable, tokenizer_files

TEXTS = [
    "",
    " ",
    "Hello world, it's 3.14 o'clock!",
    "  two  spaces \n\n\ttab\r\n and   trailing   ",
    "naïve café: Größe, 日本語 \U0001f600 \U0001f468\u200d\U0001f469, Ωmega, ½ ٣ \u00a0 x\u3000y",
    "don't DON'T we'll I'VE 'tis",
    "\0\x01\x7f\xad",
    "one<|endoftext|>two",
]


def test_merges_follow_from_ranks() -> None:
    """Of ab and bc the former has the lower rank: abc is made of ab and c."""
    ranks = {b"a": 0, b"b": 1, b"c": 2, b"ab": 3, b"bc": 4, b"abc": 5, b"abcab": 6}
    assert merges_of(ranks) == [(b"a", b"b"), (b"b", b"c"), (b"ab", b"c"), (b"abc", b"ab")]


def test_pieces_that_no_merges_make_are_refused() -> None:
    with pytest.raises(ValueError, match="b'abc' of rank 3 cannot be put together"):
        merges_of({b"a": 0, b"b": 1, b"c": 2, b"abc": 3})


def test_every_byte_has_a_printable_stand_in_of_its_own() -> None:
    assert len(set(STAND_INS)) == 256
    assert all(character.isprintable() and not character.isspace() for character in STAND_INS)
    assert printable(b"a \n") == "a\u0120\u010a"  # GPT-2's signs for a space and a line's end


def test_the_end_of_text_ends_a_generation() -> None:
    settings = json.loads(tokenizer_files("bytes", 16)["tokenizer_config.json"])
    assert settings["eos_token"] == "<|endoftext|>"
    assert settings["model_max_length"] == 16


@pytest.mark.parametrize(
    "name", ["bytes", pytest.param("gpt2", marks=[pytest.mark.shared, pytest.mark.filterwarnings("ignore")])]
)
def test_ids_are_those_of_tiktoken(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for file, content in tokenizer_files(name, 1024).items():
        (tmp_path / file).write_bytes(content)
    ours, theirs = get_tokenizer(name), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == ours.n_vocab == SIZES[name]
    assert theirs.eos_token_id == theirs.bos_token_id == theirs.pad_token_id == ours.eot_token
    for text in [*TEXTS, *_real_text(name)]:
        ids = ours.encode(text, allowed_special="all")
        assert theirs.encode(text) == ids
        assert theirs.decode(ids) == text
        assert theirs(text, return_offsets_mapping=True)["input_ids"] == ids


def _real_text(name: str) -> list[str]:
    """This file; and for GPT-2's pieces the beginning of a corpus."""
    texts = [Path(__file__).read_text()]
    if name == "gpt2":
        import pyarrow.parquet as pq

        file = Path(os.environ["CONNECTOMES_SHARED"]) / "data" / "corpus" / "val-00000.parquet"
        texts += pq.read_table(file, columns=["text"])["text"].to_pylist()[::10]
    return texts
