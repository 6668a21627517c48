"""What is known of a story's words without a model of ours: how frequent they are, what GPT-3 made of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.reading_times_table import ReadingTimes

__all__ = ["read_gpt3", "read_rarity"]

AGREEING = 0.9  # share of words in which a table's own token must be found: typos were corrected in some releases


def read_rarity(path: Path, times: ReadingTimes) -> np.ndarray:
    """Minus the logarithm of a word's count plus one, from `freqs-1.tsv`; NaN where it has none.

    Counted is the word without its punctuation: the rows whose code is `story.position.word`.

    Returns:
        Shape `(words,)`.

    Raises:
        ValueError: if the table belongs to other stories.
    """
    names = ["code", "order", "token", "count", "context"]
    table = pd.read_csv(path, sep="\t", quoting=3, keep_default_na=False, header=None, names=names, dtype=str)
    table = table[table["code"].str.endswith(".word") & (table["order"] == "1")]
    counts = dict(zip(table["code"], zip(table["token"], table["count"], strict=True), strict=True))
    found = [counts.get(f"{s}.{p}.word") for s, p in zip(times.story, times.position, strict=True)]
    agreeing = [entry[0] in word for entry, word in zip(found, times.words, strict=True) if entry]
    if not agreeing or np.mean(agreeing) < AGREEING:
        raise ValueError(f"{path} counts the words of other stories: {sum(agreeing)} of {len(times)} are the same")
    return np.array([-np.log(float(entry[1]) + 1) if entry else np.nan for entry in found])


def read_gpt3(path: Path, times: ReadingTimes) -> np.ndarray:
    """Surprisal of GPT-3 `davinci` in nats, from `all_stories_gpt3.csv`; NaN for a word whose tokens were not scored.

    Returns:
        Shape `(words,)`. The first token of a story has none: a first word of several tokens has the sum of the rest.

    Raises:
        ValueError: if the texts are other stories; single words may differ, by the typos that readers were shown.
    """
    table = pd.read_csv(path, keep_default_na=False, dtype={"token": str})
    surprisal = np.full(len(times), np.nan)
    for story in np.unique(times.story):
        places = np.flatnonzero(times.story == story)
        rows = table[table["story"] == story - 1]
        tokens = rows["token"].tolist()
        words = "".join(tokens).split(" ")
        shown = [times.words[place] for place in places]
        if len(words) != len(shown) or np.mean([a == b for a, b in zip(words, shown, strict=True)]) < AGREEING:
            raise ValueError(f"{path} has another text of story {story}: {len(words)} words, expected {len(shown)}")
        word = np.cumsum([token.startswith(" ") for token in tokens])
        nats = -pd.to_numeric(rows["logprob"], errors="coerce").to_numpy(dtype=float)
        known = np.isfinite(nats)
        scored = np.bincount(word[known], minlength=len(places))
        surprisal[places] = np.where(scored > 0, np.bincount(word[known], nats[known], len(places)), np.nan)
    return surprisal
