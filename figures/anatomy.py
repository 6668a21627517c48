"""`python cli.py connectome plot`: connectomes -> pictures of their anatomy."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from connectome import Connectome, load_connectome
from connectome.anatomy import EMBEDDING
from datamodules.token_shards import find_shards, open_shard
from figures.anatomy_panels import (
    degree_distribution,
    embedding_density,
    excitation_of_rows,
    heads,
    matrix_picture,
    overlap_of_seeds,
    short,
    sign_spreads,
    spreads,
    survival_over_generations,
)
from figures.pictures import save

__all__ = ["plot"]

Panels = dict[str, tuple[str, Callable[[Axes], Axes]]]
SHOWN = 4  # the first matrices: of a GPT the embedding and three of the first layer


def plot(files: Sequence[str], out: str = "anatomy", data: str = "", part: str = "large", seed: int = 0) -> None:
    """Draw the anatomy of the last of some connectomes beside a random control.

    Earlier generations of its seed add their survival; another seed of its generation adds what the two have in common.

    Args:
        files: connectomes of one architecture.
        out: folder for the pictures.
        data: folder of token shards, to draw the embedding against the frequency of tokens.
        part: of the shards.
        seed: of the random control.

    Raises:
        FileNotFoundError: if a connectome or the shards are not there.
        ValueError: if a file is damaged, or the architectures differ.
    """
    connectomes = [load_connectome(file) for file in files]
    for name, panels in pages(connectomes, token_counts(data, part, connectomes[-1]) if data else None, seed).items():
        print(f"drawn: {save(panels, Path(out) / f'{name}.png')}")


def pages(connectomes: Sequence[Connectome], counts: np.ndarray | None, seed: int) -> dict[str, Panels]:
    """Titles and panels of each picture that these connectomes give."""
    evolved = connectomes[-1]
    for other in connectomes[:-1]:
        evolved.check_fits({n: tuple(m.shape) for n, m in other.matrices.items()}, "another of the connectomes")
    control = evolved.random_like(seed)
    names = [*evolved.matrices][:SHOWN]
    wiring: Panels = {}
    degree: Panels = {}
    for name in names:
        for word, each in (("evolved", evolved), ("random", control)):
            wiring[f"{name} {word}"] = (f"{short(name)}, {word}", _panel(matrix_picture, each, name, ordered=True))
        degree[name] = (short(name), _panel(degree_distribution, evolved, control, name))
    found: dict[str, Panels] = {
        "wiring": wiring,
        "degrees": degree,
        "spread": {
            "degrees": ("Degrees", _panel(spreads, evolved, control)),
            "signs": ("Excitation and inhibition", _panel(sign_spreads, evolved, control)),
        },
        "excitation": {name: (short(name), _panel(excitation_of_rows, evolved, control, name)) for name in names},
    }
    if "n_head" in evolved.architecture:
        found["heads"] = {
            "evolved": ("Heads, evolved", _panel(heads, evolved)),
            "random": ("Heads, random", _panel(heads, control)),
        }
    if counts is not None:
        found["embedding"] = {"tokens": ("Embedding", _panel(embedding_density, evolved, control, counts))}
    line = sorted((c for c in connectomes if c.provenance.seed == evolved.provenance.seed), key=_generation)
    if len({_generation(c) for c in line}) > 1:
        found["survival"] = {"generations": ("Survival", _panel(survival_over_generations, line))}
    others = [
        c
        for c in connectomes
        if c.provenance.seed != evolved.provenance.seed and _generation(c) == _generation(evolved)
    ]
    if others:
        found["seeds"] = {"overlap": ("Two seeds", _panel(overlap_of_seeds, evolved, others[-1]))}
    return found


def token_counts(folder: str, part: str, connectome: Connectome) -> np.ndarray:
    """Occurrences of each token of the connectome's vocabulary in the shards of a part, shape `(vocabulary,)`.

    Raises:
        ValueError: if the connectome has no embedding, or the shards hold tokens beyond it.
    """
    if EMBEDDING not in connectome.matrices:
        raise ValueError(f"the connectome has no {EMBEDDING} to compare with tokens: leave --data out")
    vocabulary = connectome.matrices[EMBEDDING].shape[0]
    counts = np.zeros(vocabulary, np.int64)
    for path in find_shards(folder, part):
        found = np.bincount(open_shard(path), minlength=vocabulary)
        if len(found) > vocabulary:
            raise ValueError(
                f"{path} holds token {len(found) - 1}, beyond the {vocabulary}: it is of another tokenizer"
            )
        counts += found
    return counts


def _panel(panel: Callable[..., Axes], *values: object, **options: object) -> Callable[[Axes], Axes]:
    return lambda ax: panel(*values, ax=ax, **options)


def _generation(connectome: Connectome) -> int:
    return -1 if connectome.provenance.generation is None else connectome.provenance.generation
