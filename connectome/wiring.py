"""The connectome: which weights exist, and whether each excites (+1) or inhibits (-1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from connectome.pruning import smallest

__all__ = ["Connectome", "Overlap", "Provenance"]

WEIGHT_MAGNITUDE = 0.02  # a surviving weight is reset to +0.02 or -0.02 (Kotar & Tuckute 2025, section 2.1.2)


@dataclass(frozen=True)
class Provenance:
    """Where a connectome comes from.

    Args:
        generation: the generation that left it; None where no generation did, as for a random one.
        seed: seed of the run, or of the random draw.
        step: optimizer steps since generation 0 began.
        data: fingerprint of the token shards the generations were trained on.
        tokenizer: name of the tokenizer of those shards.
        note: anything else, for example which connectome a random one was drawn to match.
    """

    generation: int | None = None
    seed: int | None = None
    step: int | None = None
    data: str = ""
    tokenizer: str = ""
    note: str = ""


class Overlap(NamedTuple):
    """How two connectomes of one architecture agree.

    Args:
        shared: weights that exist in both.
        jaccard: shared weights over weights that exist in either.
        sign_agreement: share of the shared weights that have the same sign; nan where none is shared.
        expected_shared: shared weights expected by chance at the same per-matrix densities.
    """

    shared: int
    jaccard: float
    sign_agreement: float
    expected_shared: float


@dataclass(frozen=True, eq=False)
class Connectome:
    """One ternary matrix per weight matrix: +1 excitatory, -1 inhibitory, 0 absent.

    Args:
        matrices: int8 tensors of shape `(out_features, in_features)` with values -1, 0 and 1, by parameter name. A
            tied weight stands in it once.
        architecture: the numbers of the network that it fits, for example `n_layer`.
        provenance: where it comes from.

    Raises:
        ValueError: for no matrix at all, or one that is not a two-dimensional, non-empty int8 tensor of -1, 0 and 1.
    """

    matrices: Mapping[str, Tensor]
    architecture: Mapping[str, int | bool] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if not self.matrices:
            raise ValueError("a connectome needs at least one matrix, found none")
        for name, matrix in self.matrices.items():
            if matrix.dtype != torch.int8 or matrix.dim() != 2 or matrix.numel() == 0:
                raise ValueError(
                    f"{name}: expected a non-empty int8 matrix, found {matrix.dtype} of shape {tuple(matrix.shape)}"
                )
            if matrix.min() < -1 or matrix.max() > 1:
                raise ValueError(f"{name}: expected values -1, 0 and 1, found {matrix.min()} to {matrix.max()}")
        frozen = {name: matrix.cpu().contiguous() for name, matrix in self.matrices.items()}
        object.__setattr__(self, "matrices", MappingProxyType(frozen))
        object.__setattr__(self, "architecture", MappingProxyType(dict(self.architecture)))

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        *,
        architecture: Mapping[str, int | bool] | None = None,
        provenance: Provenance | None = None,
    ) -> "Connectome":
        """Signs of the weights that the masks keep. An exact zero counts as excitatory.

        Args:
            weights: trained matrices by parameter name.
            masks: bool, the same names and shapes; True where a weight survives.
            architecture: see `Connectome`.
            provenance: see `Connectome`.
        """
        if weights.keys() != masks.keys():
            raise ValueError(f"weights and masks differ in names: {sorted(weights.keys() ^ masks.keys())}")
        matrices = {}
        for name, weight in weights.items():
            mask = masks[name].to(weight.device)
            if mask.shape != weight.shape:
                raise ValueError(f"{name}: a weight of shape {tuple(weight.shape)}, a mask of {tuple(mask.shape)}")
            signs = 1 - 2 * (weight < 0).to(torch.int8)
            matrices[name] = signs * mask.to(torch.int8)
        return cls(matrices, architecture or {}, provenance or Provenance())

    def random_like(self, seed: int) -> "Connectome":
        """As many weights in every matrix as here, at random positions with random signs: the paper's control."""

        def draw(matrix: Tensor, generator: torch.Generator) -> Tensor:
            kept = int(matrix.count_nonzero())
            keys = torch.randint(2**31 - 1, (matrix.numel(),), generator=generator, dtype=torch.int32)
            positions = smallest(keys, kept)
            signs = torch.randint(0, 2, (kept,), generator=generator, dtype=torch.int8) * 2 - 1
            return torch.zeros(matrix.numel(), dtype=torch.int8).masked_scatter_(positions, signs).view_as(matrix)

        return self._drawn_anew(seed, draw, "random control matched per matrix to")

    def shuffled_signs(self, seed: int) -> "Connectome":
        """The same weights exist; the signs of each matrix are dealt out anew among them, as many of each as before."""

        def draw(matrix: Tensor, generator: torch.Generator) -> Tensor:
            signs = matrix[matrix != 0]
            dealt = signs[torch.randperm(len(signs), generator=generator)]
            return torch.zeros_like(matrix).masked_scatter_(matrix != 0, dealt)

        return self._drawn_anew(seed, draw, "signs shuffled within each matrix of")

    def graft(self, other: "Connectome", part: str) -> "Connectome":
        """This connectome, with the matrices whose names contain `part` taken from another one.

        Raises:
            ValueError: if architectures, shapes or tokenizers differ, or no matrix is called so, or every one.
        """
        self.check_fits({name: tuple(matrix.shape) for name, matrix in other.matrices.items()}, "the other connectome")
        origin = self.provenance
        for what, one, two in (
            ("architecture", dict(self.architecture), dict(other.architecture)),
            ("tokenizer", origin.tokenizer, other.provenance.tokenizer),
        ):
            if one and two and one != two:
                raise ValueError(f"the other connectome is of another {what}: {two}, not {one}")
        taken = [name for name in self.matrices if part in name]
        if not 0 < len(taken) < len(self.matrices):
            raise ValueError(
                f"{'every' if taken else 'no'} matrix has {part!r} in its name, expected some; there are "
                f"{', '.join(sorted(self.matrices))}"
            )
        matrices = {name: (other if name in taken else self).matrices[name] for name in self.matrices}
        note = f"{part} from {_origin(other)}, the rest from {_origin(self)}"
        provenance = Provenance(seed=origin.seed, data=origin.data, tokenizer=origin.tokenizer, note=note)
        return Connectome(matrices, self.architecture, provenance)

    def _drawn_anew(self, seed: int, draw: Callable[[Tensor, torch.Generator], Tensor], how: str) -> "Connectome":
        """A control of which each matrix is drawn from this one's.

        Each has its own generator, seeded with (seed, index of the matrix in order of name), on the CPU: the same draw
        on every machine.
        """
        matrices = dict(self.matrices)
        for index, name in enumerate(sorted(matrices)):
            matrices[name] = draw(matrices[name], torch.Generator().manual_seed(seed * 1_000_003 + index))
        origin = self.provenance
        note = f"{how} {_origin(self)}"
        provenance = Provenance(seed=seed, data=origin.data, tokenizer=origin.tokenizer, note=note)
        return Connectome(matrices, self.architecture, provenance)

    @property
    def n_weights(self) -> int:
        """Number of weights that could exist."""
        return sum(matrix.numel() for matrix in self.matrices.values())

    @property
    def n_kept(self) -> int:
        """Number of weights that exist."""
        return sum(int(matrix.count_nonzero()) for matrix in self.matrices.values())

    @property
    def density(self) -> float:
        """Share of the weights that exist, over all matrices together."""
        return self.n_kept / self.n_weights

    @property
    def densities(self) -> dict[str, float]:
        """Share of the weights that exist, by matrix."""
        return {name: int(matrix.count_nonzero()) / matrix.numel() for name, matrix in self.matrices.items()}

    @property
    def excitatory_share(self) -> float:
        """Share of the existing weights that are excitatory; nan where none exists."""
        positive = sum(int((matrix > 0).sum()) for matrix in self.matrices.values())
        return positive / self.n_kept if self.n_kept else float("nan")

    def masks(self) -> dict[str, Tensor]:
        """Bool matrices, True where a weight exists, by parameter name."""
        return {name: matrix != 0 for name, matrix in self.matrices.items()}

    def weights(self, magnitude: float = WEIGHT_MAGNITUDE) -> dict[str, Tensor]:
        """Float32 matrices of +magnitude, -magnitude and 0 by parameter name: the start of the next generation."""
        return {name: matrix.to(torch.float32) * magnitude for name, matrix in self.matrices.items()}

    def overlap(self, other: "Connectome") -> Overlap:
        """Agreement with another connectome of the same architecture.

        Raises:
            ValueError: if names or shapes of the matrices differ.
        """
        self.check_fits({name: tuple(matrix.shape) for name, matrix in other.matrices.items()}, "the other connectome")
        shared = either = same = 0
        expected = 0.0
        for name, mine in self.matrices.items():
            theirs = other.matrices[name]
            both = (mine != 0) & (theirs != 0)
            shared += int(both.sum())
            either += int(((mine != 0) | (theirs != 0)).sum())
            same += int((mine == theirs)[both].sum())
            expected += int(mine.count_nonzero()) * int(theirs.count_nonzero()) / mine.numel()
        return Overlap(shared, shared / either if either else 1.0, same / shared if shared else float("nan"), expected)

    def check_fits(self, shapes: Mapping[str, tuple[int, ...]], owner: str = "the model") -> None:
        """Raise ValueError naming the first matrices in which `shapes`, by parameter name, differ from these."""
        here = {name: tuple(matrix.shape) for name, matrix in self.matrices.items()}
        if here == dict(shapes):
            return
        differing = sorted(name for name in here.keys() | shapes.keys() if here.get(name) != shapes.get(name))
        found = "; ".join(f"{name}: {here.get(name)} here, {shapes.get(name)} in {owner}" for name in differing[:3])
        raise ValueError(
            f"the connectome is of another architecture than {owner}: {len(differing)} matrices differ ({found}). "
            f"It was made for {dict(self.architecture)}"
        )


def _origin(connectome: Connectome) -> str:
    origin = connectome.provenance
    return origin.note if origin.generation is None else f"generation {origin.generation} of seed {origin.seed}"
