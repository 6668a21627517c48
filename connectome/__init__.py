"""What one generation hands to the next: a sparse ternary wiring diagram. Knows nothing of training."""

from connectome.file import ConnectomeFileError, load_connectome, save_connectome
from connectome.pruning import prune_smallest, prune_smallest_globally
from connectome.ternary_coding import independent_bits, shannon_bits
from connectome.wiring import Connectome, Overlap, Provenance

__all__ = [
    "Connectome",
    "ConnectomeFileError",
    "Overlap",
    "Provenance",
    "independent_bits",
    "load_connectome",
    "prune_smallest",
    "prune_smallest_globally",
    "save_connectome",
    "shannon_bits",
]
