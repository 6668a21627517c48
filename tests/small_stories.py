"""Stories of a few words with reading times, in each of the forms in which the real ones are published."""

from pathlib import Path

import numpy as np

TEXTS = (  # curly quotes, a hyphen, the words None and NA, a straight quote that is never closed
    "Tulip mania \u201cbegan\u201d long ago, None of us well-to-do people saw",
    'A "quiet NA town lay by the caf\u00e9 of Herr M\u00fcller\u2019s son',
    "It was the end of the road and nobody came back again",
)
STORIES = {item: text.split() for item, text in enumerate(TEXTS, start=1)}


def words() -> list[tuple[str, int, int]]:
    """Word, zone and item of every word."""
    return [(word, zone, item) for item, story in STORIES.items() for zone, word in enumerate(story, start=1)]


def write_words(folder: Path) -> None:
    """`all_stories.tok`."""
    lines = ["word\tzone\titem", *(f"{word}\t{zone}\t{item}" for word, zone, item in words())]
    (folder / "all_stories.tok").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_means(folder: Path, name: str = "processed_wordinfo.tsv") -> None:
    """Means: 300 ms and 10 for each character, in another order than the stories'; four readers."""
    lines = ["word\tzone\titem\tnItem\tmeanItemRT\tsdItemRT\tgmeanItemRT\tgsdItemRT"]
    for word, zone, item in sorted(words()):
        mean = 300 + 10 * len(word)
        lines.append(f"{word}\t{zone}\t{item}\t4\t{mean}\t20\t{mean - 1}\t1.1")
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def cells(readers: int = 8, noise: float = 20, seed: int = 0) -> np.ndarray:
    """Times by word and reader: 300 ms and 10 for each character, with noise; the last reader read six words only."""
    rng = np.random.default_rng(seed)
    true = np.array([300 + 10 * len(word) for word, _, _ in words()])
    times = true[:, None] + rng.normal(0, noise, (len(true), readers))
    times[6:, -1] = np.nan
    times[3, 0] = np.nan
    return times


def write_participants(folder: Path, times: np.ndarray) -> None:
    """`processed_RTs.tsv`, one row a time."""
    lines = ["WorkerId\tWorkTimeInSeconds\tcorrect\titem\tzone\tRT\tword\tnItem\tmeanItemRT"]
    for (word, zone, item), row in zip(words(), times, strict=True):
        for reader, time in enumerate(row):
            if np.isfinite(time):
                lines.append(f"R{reader}\t900\t6\t{item}\t{zone}\t{time:.9g}\t{word}\t1\t1")
    (folder / "processed_RTs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_folder(folder: Path) -> Path:
    """All plain files, with the frequencies."""
    folder.mkdir(parents=True, exist_ok=True)
    write_words(folder)
    write_means(folder)
    write_means(folder, "processed_wordinfo_2016.tsv")
    write_participants(folder, cells())
    lines = []
    for word, zone, item in words():
        bare = word.strip('\u201c\u201d,"')
        lines += [f"{item}.{zone}.{kind}\t1\t{bare}\t{1000 // len(word)}\tNA" for kind in ("whole", "word", "1")]
    (folder / "freqs-1.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
