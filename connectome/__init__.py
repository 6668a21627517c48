"""What one generation hands to the next: a sparse ternary wiring diagram. Knows nothing of training.

Names are imported when they are asked for: who only writes files atomically need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "Connectome": "wiring",
    "ConnectomeFileError": "file",
    "Overlap": "wiring",
    "Provenance": "wiring",
    "independent_bits": "ternary_coding",
    "load_connectome": "file",
    "prune_smallest": "pruning",
    "prune_smallest_globally": "pruning",
    "save_connectome": "file",
    "shannon_bits": "ternary_coding",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'connectome' has no {name!r}")
    return getattr(import_module(f"connectome.{_MODULES[name]}"), name)
