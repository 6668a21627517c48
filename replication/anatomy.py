"""What the wiring of the experiment's connectomes looks like, generation by generation."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from connectome import Connectome, load_connectome
from connectome.anatomy import EMBEDDING, anatomy, token_densities
from replication.measured import EXPERIMENT, LAST, connectome_files

__all__ = ["anatomy_rows"]

TOKENS = 257  # bytes and the end of a text; the vocabulary is padded to 320
ROWS = (  # of the table, in order
    "density",
    "bits a weight, in its file",
    "excitatory, of the weights there are",
    "signs flipped since the generation before, of the weights in both",
    "variance of in-degrees over chance: blocks, median",
    "variance of out-degrees over chance: blocks, median",
    "variance of out-degrees over chance: embedding",
    "density of the embedding's 63 rows that are no token",
    "hubs, rows and columns of 16 + 1 matrices",
    "silent rows",
    "dead units of the MLPs, of 2,048",
    "shared by two seeds over by chance, blocks",
    "shared by two seeds over by chance, embedding",
)


def anatomy_rows(folder: Path) -> Iterator[list[str]]:
    """Means over the seeds, a column for each generation's connectome.

    Args:
        folder: of all runs.
    """
    generations = range(LAST + 1)
    files = [connectome_files(folder / EXPERIMENT, generation) for generation in generations]
    read = [{seed: load_connectome(path) for seed, path in found.items()} for found in files]
    columns = [
        _column(read[g], [*files[g].values()], read[g - 1] if g else dict.fromkeys(read[g])) for g in generations
    ]
    yield ["connectome of generation", *map(str, generations)]
    for number, name in enumerate(ROWS):
        yield [name, *(column[number] for column in columns)]


def _column(
    connectomes: Mapping[int, Connectome], files: Sequence[Path], parents: Mapping[int, Connectome | None]
) -> list[str]:
    each = [*connectomes.values()]
    bits = [8 * path.stat().st_size / one.n_weights for path, one in zip(files, each, strict=True)]
    numbers = [anatomy(one) for one in each]
    flipped = [1 - one.overlap(parent).sign_agreement for seed, one in connectomes.items() if (parent := parents[seed])]
    blocks = [name for name in each[0].matrices if name != EMBEDDING]
    pairs = [*combinations(each, 2)]

    def spread(kind: str) -> float:
        return float(np.mean([np.median([one[f"{kind}_spread/{name}"] for name in blocks]) for one in numbers]))

    def average(name: str) -> float:
        return float(np.mean([one[name] for one in numbers]))

    return [
        f"{np.mean([one.density for one in each]):.3f}",
        f"{np.mean(bits):.2f}",
        f"{np.mean([one.excitatory_share for one in each]):.3f}",
        f"{np.mean(flipped):.3f}" if flipped else "",
        f"{spread('in_degree'):.1f}",
        f"{spread('out_degree'):.1f}",
        f"{average(f'out_degree_spread/{EMBEDDING}'):.0f}",
        f"{np.mean([float(token_densities(one)[TOKENS:].mean()) for one in each]):.3f}",
        f"{average('hubs'):.0f}",
        f"{average('silent_rows'):.0f}",
        f"{average('dead_mlp_units'):.0f}",
        *(
            f"{np.mean([_shared(one, other, names) for one, other in pairs]):.2f}" if pairs else ""
            for names in (blocks, [EMBEDDING])
        ),
    ]


def _shared(one: Connectome, other: Connectome, names: Sequence[str]) -> float:
    """Weights of some matrices that exist in both, over what chance gives at these densities."""
    here = [(one.matrices[name] != 0, other.matrices[name] != 0) for name in names]
    found = sum(int((first & second).sum()) for first, second in here)
    return found / sum(int(first.sum()) * int(second.sum()) / first.numel() for first, second in here)
