"""A table of brain responses and localizer stimuli of the published forms, small enough to write."""

from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.brain_responses import FILES, PARTICIPANTS

WORDS = [
    "the",
    "old",
    "man",
    "sees",
    "a",
    "small",
    "red",
    "boat",
    "near",
    "this",
    "town",
    "goes",
    "home",
    "every",
    "day",
]
ENDINGS = (".", ".", ".", "!", "?")


def sentences(number: int = 60) -> list[str]:
    rng = np.random.default_rng(3)
    drawn = [" ".join(rng.choice(WORDS, size=int(rng.integers(4, 8)))) for _ in range(number)]
    return [text + ENDINGS[place % len(ENDINGS)] for place, text in enumerate(drawn)]


def write_means(folder: Path, number: int = 60) -> Path:
    """Rows in the order of strings, B.10 before B.2; the response is larger for longer sentences."""
    texts = sentences(number)
    response = np.array([len(text) for text in texts]) / 10 + np.random.default_rng(4).normal(size=number)
    table = pd.DataFrame({"item_id": [f"B.{place + 1}" for place in range(number)], "sentence": texts})
    table = table.assign(lang_LH_IFG=0.5, lang_LH_netw=response).sort_values("item_id")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / FILES["means"], index=False)
    return folder


def participants_table(number: int = 60) -> pd.DataFrame:
    """Five participants and a sixth, two regions, sentences chosen by a model too; participant 853 lacks B.3."""
    rng = np.random.default_rng(5)
    signal = rng.normal(size=number)
    rows = [
        (f"B.{place + 1}", text, int(uid), roi, signal[place] + 0.5 * rng.normal(), "baseline")
        for place, text in enumerate(sentences(number))
        for uid in (*PARTICIPANTS, "900")
        for roi in ("lang_LH_netw", "lang_LH_IFG")
        if (place, uid) != (2, "853")
    ]
    rows += [("D.1", "Chosen by a model.", int(uid), "lang_LH_netw", 9.0, "drive") for uid in PARTICIPANTS]
    names = ["item_id", "sentence", "target_UID", "roi", "response_target", "cond"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=0)


def write_participants(folder: Path, table: pd.DataFrame | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = participants_table() if table is None else table
    table.to_csv(folder / FILES["participants"], index=False)
    return folder


def write_localizer(folder: Path, number: int = 12) -> Path:
    """Two files, each with `number` stimuli of both kinds."""
    rng = np.random.default_rng(6)
    folder.mkdir(parents=True, exist_ok=True)
    header = ",".join(f"stim{place}" for place in range(1, 15))
    for run in (1, 2):
        lines = [header]
        for trial in range(number):
            words = [str(word).upper() for word in rng.choice(WORDS, size=12)]
            letters = ["".join(rng.choice(list("BDGLMNRUOI"), size=5)) for _ in range(12)]
            lines += [",".join([str(trial + 1), *words, "S"]), ",".join([str(trial + 1), *letters, "N"])]
        (folder / f"langloc_fmri_run{run}_stim_set1.csv").write_text("\n".join(lines) + "\n")
    return folder
