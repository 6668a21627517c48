"""The two tokenizers by name: GPT-2's byte-pair encoding, and plain bytes, which needs no download."""

import hashlib

import tiktoken

__all__ = ["FINGERPRINTS", "fingerprint", "get_tokenizer"]

FINGERPRINTS = {  # of the tokenizers known here, by name
    "gpt2": "dd78f5e913d373f09524bf651c398e75344417a3cf077b19eb581972a7a9cefd",
    "bytes": "2983276124923ecbee53b3d0d39bb076e9f2936abd78c206cbabb5bddc9c4eec",
}


def get_tokenizer(name: str) -> tiktoken.Encoding:
    """The tokenizer of that name: `gpt2` (50,257 tokens) or `bytes` (256 bytes and end of text, id 256).

    Raises:
        ValueError: if the name is unknown.
        FileNotFoundError: if GPT-2's vocabulary is neither in tiktoken's cache nor to be had from the network.
    """
    if name == "bytes":
        return _bytes_encoding()
    if name != "gpt2":
        raise ValueError(f"no tokenizer is called {name!r}; known are {', '.join(FINGERPRINTS)}")
    try:
        return tiktoken.get_encoding(name)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a damaged cache file is a ValueError
        raise FileNotFoundError(
            f"the vocabulary of {name!r} could not be fetched ({type(error).__name__}: {error}). Without a network, "
            "run `python -c \"import tiktoken; tiktoken.get_encoding('gpt2')\"` once on a machine that has one, with "
            "TIKTOKEN_CACHE_DIR set to a folder, copy that folder here, and set TIKTOKEN_CACHE_DIR to it; "
            "or use --tokenizer bytes, which needs no download"
        ) from error


def fingerprint(encoding: tiktoken.Encoding) -> str:
    """Identity of an encoding: SHA-256 over its pattern, ranks and special tokens, 64 hexadecimal digits."""
    digest = hashlib.sha256(encoding._pat_str.encode())
    for piece, rank in sorted(encoding._mergeable_ranks.items(), key=lambda item: item[1]):
        digest.update(b"%d %d " % (rank, len(piece)) + piece)
    for special, rank in sorted(encoding._special_tokens.items()):
        digest.update(b"%d " % rank + special.encode())
    return digest.hexdigest()


def _bytes_encoding() -> tiktoken.Encoding:
    """Each byte is its own token. The pattern cuts text into pieces of 64 characters: 70 MB/s, one by one 18."""
    return tiktoken.Encoding(
        "bytes",
        pat_str=r"[\s\S]{1,64}",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens={"<|endoftext|>": 256},
        explicit_n_vocab=257,
    )
