"""What happens to a run from outside: pruning, inheritance, checkpoints, logs.

Names are imported when they are asked for: `callbacks.stop_signal` must be loaded before torch, which takes seconds.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "AtomicCheckpointIO": "checkpoint_io",
    "GenerationalPruning": "generational_pruning",
    "InheritConnectome": "inherit_connectome",
    "KeepWeights": "keep_weights",
    "ProgressLine": "progress_line",
    "RollingCheckpoint": "rolling_checkpoint",
    "RunFolder": "run_folder",
    "RunLogger": "run_logger",
    "SparseTraining": "sparse_training",
    "Throughput": "throughput",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'callbacks' has no {name!r}")
    return getattr(import_module(f"callbacks.{_MODULES[name]}"), name)
