"""`python cli.py connectome info | diff | random | graft | pack`: connectomes in words, and as other files."""

from dataclasses import asdict
from pathlib import Path

from connectome.anatomy import against_chance, anatomy
from connectome.file import load_connectome, save_connectome
from connectome.ternary_coding import independent_bits

__all__ = ["diff", "graft", "info", "pack", "random"]

DENSE_BITS = TOKEN_BITS = 16


def info(file: str, tokens: int = 0) -> None:
    """Print what a connectome is: architecture, origin, densities, anatomy, and its size beside other sizes.

    Args:
        file: the connectome.
        tokens: how many tokens its generations were trained on; its size is then compared with theirs too.
    """
    connectome = load_connectome(file)
    size, n = Path(file).stat().st_size, connectome.n_weights
    known = {name: value for name, value in asdict(connectome.provenance).items() if value not in (None, "")}
    for name, value in {**connectome.architecture, **known}.items():
        print(f"{name}: {value}")
    print(f"weights: {connectome.n_kept:,} of {n:,} exist, {100 * connectome.density:.2f} %")
    print(f"excitatory: {100 * connectome.excitatory_share:.2f} % of them")
    dense, read = DENSE_BITS * n // 8, TOKEN_BITS * tokens // 8
    print(f"file: {size:,} bytes; its weights in 16 bits each: {dense:,} bytes, {dense / size:,.1f} times as many")
    if tokens:
        print(f"    tokens it comes from, in 16 bits each: {read:,} bytes, {read / size:,.0f} times as many")
    bound = independent_bits(connectome) / n
    print(f"    {8 * size / n:.4f} bits a weight; Shannon's bound for independent ones {bound:.4f}")
    numbers = anatomy(connectome)
    for name in ("hubs", "silent_rows", "dead_heads", "dead_mlp_units"):
        if name in numbers:
            print(f"{name.replace('_', ' ')}: {numbers[name]:.0f}")
    print("variance of in-degrees, of out-degrees, and of the rows' balance of signs, each over that of chance:")
    for name, matrix in connectome.matrices.items():
        spreads = (numbers.get(f"{kind}_spread/{name}") for kind in ("in_degree", "out_degree", "sign"))
        cells = "".join("       -" if spread is None else f"{spread:8.2f}" for spread in spreads)
        shape = " x ".join(map(str, matrix.shape))
        print(f"    {cells}  {100 * connectome.densities[name]:6.2f} % of {shape}  {name}")


def diff(one: str, two: str) -> None:
    """Print what two connectomes of one architecture have in common, and what chance would give them.

    Args:
        one: a connectome.
        two: another.
    """
    first, second = load_connectome(one), load_connectome(two)
    overlap = first.overlap(second)
    print(f"weights: {first.n_kept:,} and {second.n_kept:,}")
    print(f"in both: {overlap.shared:,}; by chance {overlap.expected_shared:,.0f}")
    chance = overlap.expected_shared / (first.n_kept + second.n_kept - overlap.expected_shared or 1)
    print(f"Jaccard: {overlap.jaccard:.4f}; by chance {chance:.4f}")
    print(f"same sign, of those in both: {100 * overlap.sign_agreement:.2f} %")
    print("Jaccard (by chance), same sign in percent (by chance):")
    for name, found in against_chance(first, second).items():
        print(
            f"    {found.jaccard:.4f} ({found.jaccard_by_chance:.4f})  {100 * found.sign_agreement:6.2f} "
            f"({100 * found.sign_agreement_by_chance:6.2f})  {name}"
        )


def random(file: str, out: str, seed: int = 0) -> None:
    """Write a control: as many weights in every matrix, at random positions with random signs.

    Args:
        file: the connectome that it matches.
        out: where it is written.
        seed: of the draw.
    """
    save_connectome(load_connectome(file).random_like(seed), out)
    print(f"{out}: random control of {file}, seed {seed}")


def graft(file: str, other: str, part: str, out: str) -> None:
    """Write a connectome of which some matrices come from another, to ask which part of the wiring helps.

    Args:
        file: the connectome.
        other: gives the matrices whose names contain `part`.
        part: of a name, such as `wte` for the embedding, `attn`, `mlp` or `h.0.` for a layer.
        out: where it is written.
    """
    save_connectome(load_connectome(file).graft(load_connectome(other), part), out)
    print(f"{out}: {part} of {other}, the rest of {file}")


def pack(file: str, out: str) -> None:
    """Write a connectome again, in as few bytes as its rows and columns being alike allows.

    Args:
        file: the connectome.
        out: where it is written; anything reads it as it reads the other.
    """
    connectome = load_connectome(file)
    save_connectome(connectome, out, coder="grouped")
    before, after = Path(file).stat().st_size, Path(out).stat().st_size
    print(f"{out}: {after:,} bytes instead of {before:,}, {8 * after / connectome.n_weights:.4f} bits a weight")
