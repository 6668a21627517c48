"""A checkpoint as a model folder of the Hugging Face Hub: `cli.py export`."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from callbacks.run_folder import RunFolder
from connectome import load_connectome, save_connectome
from connectome.atomic_file import atomic_file
from exchange.model_card import model_card
from exchange.run_facts import connectome_of, facts_of
from exchange.tokenizer_files import SIZES, tokenizer_files
from lightning_modules.hub_model import fetch_model, is_hub_name
from lightning_modules.published_weights import EXPORTED
from lightning_modules.weights import Weights, read_weights, write_weights

__all__ = ["export"]

MODELLING = Path(__file__).with_name("modeling_connectome_gpt.py")
CONNECTOME = "connectome.connectome"


def export(
    checkpoint: str, *, out: str, push: str | None = None, private: bool = False, licence: str = "apache-2.0"
) -> None:
    """Write a model as a folder that `transformers` loads, with its tokenizer, connectome and card.

    Nothing of this machine goes into it. `--model.checkpoint FOLDER` reads it back; a second export has the same bytes.

    Args:
        checkpoint: weights to export: a run's .ckpt or .safetensors, or a published model's folder or name on the Hub.
        out: the folder to write.
        push: name on the Hub, `owner/model`, to upload the folder to. Needs `hf auth login`.
        private: make the model on the Hub a private one, if it is not there yet.
        licence: of the weights, as the Hub names licences.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        CheckpointError: if it is damaged, hostile or of another architecture.
        FileExistsError: if the folder holds something else than an exported model.
        RuntimeError: if the Hub does not take it.
    """
    folder = Path(out)
    _refuse_foreign(folder)
    weights, run = read_weights(checkpoint), RunFolder.of(checkpoint)
    facts = {"run": facts_of(run, int(weights.record.get("step") or 0))} if run else {}
    record = json.loads(json.dumps(weights.record | facts, sort_keys=True))  # in the order in which it comes back
    weights = weights._replace(record=record)
    source = fetch_model(checkpoint) if is_hub_name(checkpoint) else Path(checkpoint)
    carried = source / CONNECTOME if source.is_dir() else None
    wiring = load_connectome(carried) if carried and carried.is_file() else connectome_of(weights, run, checkpoint)
    tokenizer = _tokenizer_of(weights)
    config, generation = _configs(weights, tokenizer)
    files = {
        MODELLING.name: MODELLING.read_bytes(),
        "generation_config.json": _json(generation),
        "README.md": model_card(weights, wiring, tokenizer=tokenizer, licence=licence).encode(),
        **(tokenizer_files(tokenizer, weights.config.block_size) if tokenizer else {}),
    }
    for name, content in files.items():
        _write(folder / name, content)
    if wiring:
        save_connectome(wiring, folder / CONNECTOME)
    else:
        (folder / CONNECTOME).unlink(missing_ok=True)
    write_weights(folder / "model.safetensors", weights.network(), weights.record)
    _write(folder / "config.json", _json(config))  # last: a folder without it is no model
    print(f"written: {folder} ({', '.join(sorted(path.name for path in folder.iterdir()))})")
    if push:
        _upload(folder, push, private)


def _configs(weights: Weights, tokenizer: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Contents of config.json and generation_config.json."""
    shape = weights.config
    names = {"AutoConfig": "ConnectomeGPTConfig", "AutoModelForCausalLM": "ConnectomeGPT"}
    config: dict[str, Any] = {
        "model_type": EXPORTED,
        "architectures": ["ConnectomeGPT"],
        "auto_map": {kind: f"{MODELLING.stem}.{name}" for kind, name in names.items()},
        "vocab_size": shape.vocab_size,
        "n_layer": shape.n_layer,
        "n_head": shape.n_head,
        "n_embd": shape.n_embd,
        "block_size": shape.block_size,
        "tie_word_embeddings": shape.tied_embeddings,
        "dtype": "float32",
    }
    if tokenizer is None:
        return config, {}
    tokens = SIZES[tokenizer]
    end = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokens - 1)
    padding = list(range(tokens, shape.vocab_size))
    return config | end, end | ({"suppress_tokens": padding} if padding else {})


def _tokenizer_of(weights: Weights) -> str | None:
    """The tokenizer that goes into the folder. Shards without a manifest count as GPT-2's, which need not be true."""
    name = weights.record.get("tokenizer")
    rows = weights.config.vocab_size
    if name is None or name not in SIZES or SIZES[name] > rows:
        print(
            f"no tokenizer is exported: the checkpoint names {name!r}, which does not go with an embedding of {rows:,}"
        )
        return None
    return name


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    exported = folder / MODELLING.name
    if not exported.is_file():
        raise FileExistsError(f"{folder} holds something else than an exported model: name another folder with --out")


def _upload(folder: Path, repository: str, private: bool) -> None:
    from huggingface_hub import HfApi

    hub = HfApi()
    message = f"Export from generational-connectomes {version('generational-connectomes')}"
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except (OSError, ValueError) as error:  # the client's own are of these kinds
        raise RuntimeError(
            f"{folder} is written, but could not be pushed to {repository} ({type(error).__name__}: {error}); log in "
            "with `hf auth login` and give the same command again"
        ) from error
    print(f"pushed: {commit.commit_url}")


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
