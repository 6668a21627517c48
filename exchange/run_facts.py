"""What the folder of a run tells of the weights that lie in it, beyond their own record."""

from pathlib import Path
from typing import Any

import yaml

from callbacks.run_folder import RunFolder
from connectome import Connectome, Provenance, load_connectome
from datamodules.manifest import Manifest
from lightning_modules.records import read_records
from lightning_modules.weights import Weights

__all__ = ["connectome_of", "facts_of"]

SETTINGS = ("learning_rate", "warmup_steps", "decay_steps", "steps_per_generation", "weight_decay")
DENSE = 0.99  # above this share of non-zero weights, a model was not pruned


def facts_of(run: RunFolder, step: int) -> dict[str, Any]:
    """Settings, data and results of a run, in plain values without paths of this machine.

    Args:
        run: its folder.
        step: optimizer steps of the weights; results of other steps are left out.
    """
    config = _config(run)
    model, data, wiring = config.get("model", {}), config.get("data", {}), config.get("wiring") or {}
    arguments = {
        k: v
        for k, v in (wiring.get("init_args") or {}).items()
        if k not in ("connectome", "seed", "steps_per_generation")
    }
    facts: dict[str, Any] = {
        "training": {name: model[name] for name in SETTINGS if name in model}
        | {"sequences_per_step": data.get("batch_size"), "precision": config.get("trainer", {}).get("precision")},
        "wiring": {"callback": str(wiring.get("class_path", "")).rpartition(".")[2], **arguments},
    }
    folder = _home(run, config) / str(data.get("folder")) / str(data.get("train"))
    manifest = Manifest.read(folder) if folder.is_dir() else None
    if manifest:
        source = manifest.source.get("source", manifest.source)
        name = str(source.get("name", ""))
        facts["data"] = {
            "source": Path(name).name if Path(name).is_absolute() else name,
            "revision": str(source.get("revision", "")),
            "documents": manifest.documents,
            "tokens": manifest.tokens,
        }
    files = [run.records, *sorted(run.root.glob(f"evaluations/*/*/{step:08d}.jsonl"))]
    facts["results"] = [
        {key: record[key] for key in ("task", "protocol", "metric", "value", "stderr", "n") if key in record}
        for file in files
        for record in read_records(file)
        if record.get("model", {}).get("step") == step
    ]
    return facts


def connectome_of(weights: Weights, run: RunFolder | None, checkpoint: str) -> Connectome | None:
    """The wiring that belongs to a model; None where it is dense.

    The end of a generation comes with what it leaves to the next, an inner run with what it started from. Where the run
    does not tell, the wiring is read off the weights: those that are not zero, with the signs that training gave them.
    """
    known = _of_run(weights, run, checkpoint) if run else None
    if known:
        return known
    kept = {name: matrix != 0 for name, matrix in weights.tensors.items()}
    total = sum(mask.numel() for mask in kept.values())
    if sum(int(mask.sum()) for mask in kept.values()) > DENSE * total:
        return None
    about = weights.record
    provenance = Provenance(
        generation=about.get("generation"),
        seed=about.get("seed"),
        step=about.get("step"),
        data=about.get("data") or "",
        tokenizer=about.get("tokenizer") or "",
        note="read off trained weights: those that are not zero, with their signs",
    )
    return Connectome.from_weights(weights.tensors, kept, architecture=vars(weights.config), provenance=provenance)


def _of_run(weights: Weights, run: RunFolder, checkpoint: str) -> Connectome | None:
    config = _config(run)
    arguments = (config.get("wiring") or {}).get("init_args") or {}
    generation, arm = weights.record.get("generation"), arguments.get("arm")
    if generation is not None and Path(checkpoint) == run.kept(generation):
        file = run.connectome(generation)
    elif arm in ("Connectome", "RandomConnectome") and arguments.get("connectome"):
        file = _home(run, config) / arguments["connectome"]
    else:
        return None
    if not file.is_file():
        return None
    found = load_connectome(file)
    if arm == "RandomConnectome":
        found = found.random_like(int(arguments.get("seed") or 0))
    shapes = {name: tuple(matrix.shape) for name, matrix in weights.tensors.items()}
    fits = {name: tuple(matrix.shape) for name, matrix in found.matrices.items()} == shapes
    # An inner run's weights lie within its connectome; a file that was replaced since is not theirs.
    if fits and (arm is None or all(not weights.tensors[n][m == 0].any() for n, m in found.matrices.items())):
        return found
    return None


def _home(run: RunFolder, config: dict[str, Any]) -> Path:
    """Where the run was started, so far as it can be told: relative paths in its config.yaml begin there."""
    root, given = run.root.resolve().parts, Path(str(config.get("run") or "")).parts
    return Path(*root[: len(root) - len(given)]) if root[len(root) - len(given) :] == given else Path()


def _config(run: RunFolder) -> dict[str, Any]:
    return yaml.safe_load((run.root / "config.yaml").read_text()) or {}
