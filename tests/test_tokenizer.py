"""The two tokenizers."""

import os

import pytest
import tiktoken

from datamodules.tokenizer import FINGERPRINTS, fingerprint, get_tokenizer


def test_byte_tokens_are_the_utf8_bytes():
    assert get_tokenizer("bytes").encode_ordinary("aé\n") == [97, 0xC3, 0xA9, 10]


def test_byte_tokens_end_with_end_of_text_256():
    encoding = get_tokenizer("bytes")
    assert (encoding.eot_token, encoding.n_vocab) == (256, 257)


@pytest.mark.parametrize("text", ["", " ", "x" * 1000, "日本語 \U0001f600\r\n\0", "<|endoftext|>", "é" * 65])
def test_byte_tokens_decode_to_the_text(text):
    encoding = get_tokenizer("bytes")
    tokens = encoding.encode_to_numpy(text, disallowed_special=())
    assert encoding.decode(tokens.tolist()) == text
    assert 256 not in tokens


def test_an_unknown_name_lists_those_known():
    with pytest.raises(ValueError, match="no tokenizer is called 'gpt3'; known are gpt2, bytes"):
        get_tokenizer("gpt3")


def test_a_vocabulary_out_of_reach_says_how_to_bring_it(monkeypatch):
    def unreachable(name):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(FileNotFoundError, match=r"no route to host.*TIKTOKEN_CACHE_DIR.*--tokenizer bytes"):
        get_tokenizer("gpt2")


def test_fingerprints_tell_encodings_apart():
    same_ranks = tiktoken.Encoding(
        "bytes",
        pat_str=r"[\s\S]{1,2}",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens={"<|endoftext|>": 256},
    )
    assert fingerprint(get_tokenizer("bytes")) == FINGERPRINTS["bytes"] != fingerprint(same_ranks)


@pytest.mark.shared
@pytest.mark.skipif("CONNECTOMES_SHARED" not in os.environ, reason="CONNECTOMES_SHARED is not set")
def test_gpt2_is_the_published_vocabulary(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", os.path.join(os.environ["CONNECTOMES_SHARED"], "data", "tiktoken"))
    encoding = get_tokenizer("gpt2")
    assert encoding.encode_ordinary("Hello world") == [15496, 995]
    assert (encoding.eot_token, encoding.n_vocab) == (50256, 50257)
    assert fingerprint(encoding) == FINGERPRINTS["gpt2"]
