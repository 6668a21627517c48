"""The README.md of an exported model: what it is, how it came about, how to load it."""

from typing import Any

from connectome import Connectome
from lightning_modules.weights import Weights

__all__ = ["model_card"]

CITATION = """@misc{kotar2025connectomes,
  title  = {Model Connectomes: A Generational Approach to Data-Efficient Language Models},
  author = {Kotar, Klemen and Tuckute, Greta},
  year   = {2025},
  eprint = {2504.21047},
  archivePrefix = {arXiv}
}"""


def model_card(weights: Weights, connectome: Connectome | None, *, tokenizer: str | None, licence: str) -> str:
    """The card, in Markdown with the Hub's metadata on top. Equal models give equal cards.

    Args:
        weights: the model; its record may hold, under `run`, what `facts_of` found.
        connectome: the wiring that the folder carries.
        tokenizer: name of the one in the folder, if there is any.
        licence: of the weights, as the Hub names licences.
    """
    config, record = weights.config, weights.record
    facts = record.get("run", {})
    parameters = sum(matrix.numel() for matrix in weights.tensors.values())
    nonzero = sum(int(matrix.count_nonzero()) for matrix in weights.tensors.values())
    parts = [
        f"---\nlicense: {licence}\nlibrary_name: transformers\npipeline_tag: text-generation\n"
        "tags:\n- connectome\n- sparse\n- custom_code\n---",
        "# A GPT with a generational connectome\n\n"
        "A language model in the manner of Kotar & Tuckute (2025), *Model Connectomes: A Generational Approach to "
        "Data-Efficient Language Models*, written by the project `generational-connectomes`.",
        "## Load it\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("FOLDER OR NAME", trust_remote_code=True)\n'
        + ('tokenizer = AutoTokenizer.from_pretrained("FOLDER OR NAME", trust_remote_code=True)\n' if tokenizer else "")
        + "```\n\nThe code that this runs is `modeling_connectome_gpt.py`, 200 lines beside this file.",
        "## What it is\n\n"
        + _table(
            [
                ("origin", _origin(record)),
                ("seed", record.get("seed")),
                ("optimizer steps", record.get("step")),
                ("parameters", f"{parameters:,}"),
                ("of them not zero", f"{nonzero:,} ({nonzero / parameters:.1%})"),
                ("layers, heads, width", f"{config.n_layer}, {config.n_head}, {config.n_embd}"),
                ("context", f"{config.block_size:,} tokens; longer sequences run, beyond what was trained"),
                ("embedding and head", "one matrix" if config.tied_embeddings else "two matrices"),
                ("tokenizer", _tokenizer(tokenizer, config.vocab_size)),
            ]
        ),
        _densities(weights),
        _connectome(connectome),
        _training(record, facts),
        _results(record, facts),
        "## Limits\n\nA research model of inheritance and sparsity, small and trained on little text. It was not tuned "
        "to follow instructions or to avoid harm, and what it says is not to be relied upon.",
        f"## Licence\n\nWeights: {licence}. The text they were trained on has a licence of its own"
        + (" (FineWeb: ODC-By 1.0)." if "fineweb" in str(facts.get("data", {}).get("source", "")).lower() else "."),
        f"## Cite\n\n```\n{CITATION}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(record: dict[str, Any]) -> str:
    if record.get("origin"):
        return f"converted from {record['origin']}"
    if record.get("arm"):
        return f"inner loop (development), arm {record['arm']}"
    if record.get("generation") is not None:
        return f"outer loop (evolution), generation {record['generation']}"
    return "not recorded"


def _tokenizer(name: str | None, rows: int) -> str:
    if name is None:
        return f"none is in this folder; the embedding has {rows:,} rows"
    return f"{name}, in this folder; the embedding has {rows:,} rows, of which those beyond its last token are padding"


def _densities(weights: Weights) -> str:
    rows = [
        (f"`{name}`", f"{int(matrix.count_nonzero()) / matrix.numel():.4f}") for name, matrix in weights.tensors.items()
    ]
    return "## Density by matrix\n\n" + _table(rows)


def _connectome(connectome: Connectome | None) -> str:
    if connectome is None:
        return ""
    origin = connectome.provenance
    return (
        "## Its connectome\n\n`connectome.connectome` holds a ternary wiring of this shape: "
        f"{connectome.n_kept:,} weights exist ({connectome.density:.1%}), {connectome.excitatory_share:.1%} of them "
        "excitatory. "
        + (f"Left by generation {origin.generation} of seed {origin.seed}. " if origin.generation is not None else "")
        + (f"Note: {origin.note}. " if origin.note else "")
        + "A new model starts from it with `python cli.py fit --config inner.yaml --wiring.connectome "
        "FOLDER/connectome.connectome`."
    )


def _training(record: dict[str, Any], facts: dict[str, Any]) -> str:
    rows = [
        *((name.replace("_", " "), value) for name, value in facts.get("wiring", {}).items() if value),
        *((name.replace("_", " "), value) for name, value in facts.get("training", {}).items()),
        *((f"data: {name}", value) for name, value in facts.get("data", {}).items() if value),
        ("data: fingerprint", record.get("data")),
    ]
    return "## Training\n\n" + _table(rows) if any(value is not None for _, value in rows) else ""


def _results(record: dict[str, Any], facts: dict[str, Any]) -> str:
    results = facts.get("results") or [
        {"task": "validation", "protocol": "standard", "metric": name.removeprefix("validation_"), "value": value}
        for name, value in sorted(record.items())
        if name.startswith("validation_loss")
    ]
    if not results:
        return ""
    lines = ["| task | protocol | metric | value | items |", "| --- | --- | --- | --- | --- |"]
    for result in results:
        error = f" ± {result['stderr']:.4f}" if result.get("stderr") is not None else ""
        items = f"{result['n']:,}" if result.get("n") is not None else ""
        task = f"{result['task']} | {result['protocol']} | {result['metric']}"
        lines.append(f"| {task} | {result['value']:.4f}{error} | {items} |")
    return "## Results\n\nLosses in nats per token; ± is one standard error over items.\n\n" + "\n".join(lines)


def _table(rows: list[tuple[str, Any]]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows if value is not None]
    return "\n".join(["| | |", "| --- | --- |", *lines])
