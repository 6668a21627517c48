"""`python cli.py export`: what is in the folder, that nothing is lost on the way back, and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from test_published_weights import RELEASED, large, released, write_model

import cli
from callbacks.run_folder import RunFolder
from connectome import load_connectome
from exchange.model_folder import export
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import CheckpointError, read_weights, write_weights

BYTES = GPTConfig(vocab_size=320, n_layer=1, n_head=1, n_embd=4, block_size=8)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sparse(config: GPTConfig = BYTES) -> GPT:
    """Every third weight is missing."""
    torch.manual_seed(0)
    net = GPT(config)
    for matrix in net.parameters():
        matrix.data.flatten()[::3] = 0
    return net


@pytest.fixture(scope="module")
def inner_run(straight: Path, inner: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy inner loop, from what the last generation of the outer one left."""
    folder = tmp_path_factory.mktemp("inner")
    assert inner(folder, "--wiring.connectome", str(RunFolder(straight).connectome(2))) == 0
    return folder


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", ["run", "sparse", "dense"])
def test_export_import_export_gives_the_same_bytes(kind: str, tied: bool, straight: Path, tmp_path: Path) -> None:
    config = GPTConfig(**(asdict(BYTES) | {"tied_embeddings": tied}))
    checkpoint = RunFolder(straight).kept(2) if kind == "run" else tmp_path / "0.safetensors"
    if kind != "run":
        write_weights(
            checkpoint, sparse(config) if kind == "sparse" else GPT(config), {"tokenizer": "bytes", "seed": 3}
        )
    export(str(checkpoint), out=str(tmp_path / "one"))
    export(str(tmp_path / "one"), out=str(tmp_path / "two"))
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == two
    assert ("connectome.connectome" in one) is (kind != "dense")
    assert {"config.json", "generation_config.json", "model.safetensors", "README.md"} <= one.keys()


def test_weights_and_record_come_back(tmp_path: Path) -> None:
    record = {"tokenizer": "bytes", "generation": 2, "seed": 3, "step": 18, "validation_loss": 2.5}
    write_weights(tmp_path / "0.safetensors", sparse(), record)
    export(str(tmp_path / "0.safetensors"), out=str(tmp_path / "out"))
    before, after = read_weights(tmp_path / "0.safetensors"), read_weights(tmp_path / "out")
    assert after.config == before.config
    assert after.record == record
    assert all(torch.equal(matrix, after.tensors[name]) for name, matrix in before.tensors.items())


def test_a_released_model_is_exported_with_its_connectome(tmp_path: Path) -> None:
    net = large()
    net.transformer.h[0].mlp.c_fc.weight.data[:] = -0.5
    net.transformer.h[0].attn.c_attn.weight.data[:, ::2] = 0
    folder = write_model(tmp_path / "released", released(net), RELEASED)
    export(str(folder), out=str(tmp_path / "out"))
    wiring = load_connectome(tmp_path / "out" / "connectome.connectome")
    assert wiring.densities["transformer.h.0.attn.c_attn.weight"] == 0.5
    assert wiring.densities["lm_head.weight"] == 1.0
    assert (wiring.matrices["transformer.h.0.mlp.c_fc.weight"] == -1).all()
    assert "converted from released" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out" / "tokenizer.json").exists()  # 32 rows: nobody knows of what


def test_a_generation_comes_with_what_it_leaves(straight: Path, tmp_path: Path) -> None:
    run = RunFolder(straight)
    export(str(run.kept(1)), out=str(tmp_path / "out"))
    assert (tmp_path / "out" / "connectome.connectome").read_bytes() == run.connectome(1).read_bytes()


def test_an_inner_run_comes_with_what_it_started_from(straight: Path, inner_run: Path, tmp_path: Path) -> None:
    export(str(RunFolder(inner_run).final), out=str(tmp_path / "out"))
    expected = RunFolder(straight).connectome(2)
    assert (tmp_path / "out" / "connectome.connectome").read_bytes() == expected.read_bytes()


def test_a_connectome_that_was_replaced_since_is_not_given_out(straight: Path, inner_run: Path, tmp_path: Path) -> None:
    text = (inner_run / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(
        text.replace("generation_2", "generation_0").replace("arm: Connectome", "arm: RandomConnectome")
    )
    (tmp_path / "final.safetensors").write_bytes(RunFolder(inner_run).final.read_bytes())
    export(str(tmp_path / "final.safetensors"), out=str(tmp_path / "out"))
    note = load_connectome(tmp_path / "out" / "connectome.connectome").provenance.note
    assert note == "read off trained weights: those that are not zero, with their signs"


def test_an_exported_connectome_starts_an_inner_run(inner: Any, straight: Path, tmp_path: Path) -> None:
    export(str(RunFolder(straight).kept(2)), out=str(tmp_path / "out"))
    options = ["--wiring.connectome", str(tmp_path / "out" / "connectome.connectome")]
    assert inner(tmp_path / "run", *options) == 0
    assert RunFolder(tmp_path / "run").final.is_file()


def test_the_card_tells_the_run(inner_run: Path, tmp_path: Path) -> None:
    assert (
        cli.main(["export", str(RunFolder(inner_run).final), "--out", str(tmp_path / "out"), "--licence", "mit"]) == 0
    )
    card = (tmp_path / "out" / "README.md").read_text()
    loss = read_weights(RunFolder(inner_run).final).record["validation_loss_full"]
    for words in (
        "license: mit",
        "| origin | inner loop (development), arm Connectome |",
        "| optimizer steps | 6 |",
        "| sequences per step | 12 |",
        "| learning rate | 0.0018 |",
        "Left by generation 2 of seed 0.",
        f"| validation | standard | loss_full | {loss:.4f} |",
        "| `transformer.h.0.attn.c_attn.weight` | 0.51",
        "eprint = {2504.21047}",
    ):
        assert words in card, words
    assert str(tmp_path.parent) not in card  # no path of this machine


def test_ids_that_no_token_has_are_never_generated(tmp_path: Path) -> None:
    write_weights(tmp_path / "0.safetensors", GPT(BYTES), {"tokenizer": "bytes"})
    export(str(tmp_path / "0.safetensors"), out=str(tmp_path / "out"))
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert settings["suppress_tokens"] == list(range(257, 320))
    assert settings["eos_token_id"] == 256


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_weights(tmp_path / "0.safetensors", GPT(BYTES), {})
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="holds something else than an exported model"):
        export(str(tmp_path / "0.safetensors"), out=str(tmp_path))
    assert contents(tmp_path) == before


def test_an_exported_model_is_replaced_whole(tmp_path: Path) -> None:
    for index, (net, record) in enumerate([(sparse(), {"tokenizer": "bytes"}), (GPT(BYTES), {"tokenizer": "bytes"})]):
        write_weights(tmp_path / f"{index}.safetensors", net, record)
        export(str(tmp_path / f"{index}.safetensors"), out=str(tmp_path / "out"))
    export(str(tmp_path / "1.safetensors"), out=str(tmp_path / "new"))
    assert contents(tmp_path / "out") == contents(tmp_path / "new")


def test_a_tokenizer_that_cannot_be_the_model_s_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(tmp_path / "0.safetensors", large(tied_embeddings=True), {"tokenizer": "bytes"})
    export(str(tmp_path / "0.safetensors"), out=str(tmp_path / "out"))
    assert "the checkpoint names 'bytes', which does not go with an embedding of 32" in capsys.readouterr().out
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert "none is in this folder; the embedding has 32 rows" in (tmp_path / "out" / "README.md").read_text()


def test_another_architecture_is_not_exported(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "other", {"a": torch.ones(1)}, {"model_type": "gpt2"})
    with pytest.raises(CheckpointError, match="another architecture, 'gpt2'"):
        export(str(folder), out=str(tmp_path / "out"))


def test_push_uploads_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    class Hub:
        def create_repo(self, repository: str, **options: Any) -> None:
            seen["created"] = (repository, options)

        def upload_folder(self, **options: Any) -> Any:
            seen["files"] = contents(Path(options["folder_path"]))
            seen["to"] = options["repo_id"]
            return type("Commit", (), {"commit_url": "http://hub/commit/1"})

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    write_weights(tmp_path / "0.safetensors", GPT(BYTES), {"tokenizer": "bytes"})
    out = tmp_path / "out"
    words = ["export", str(tmp_path / "0.safetensors"), "--out", str(out), "--push", "me/model", "--private", "true"]
    assert cli.main(words) == 0
    assert seen["created"] == ("me/model", {"private": True, "exist_ok": True})
    assert seen["to"] == "me/model"
    assert seen["files"] == contents(out)
    assert "pushed: http://hub/commit/1" in capsys.readouterr().out


def test_a_push_that_fails_says_that_the_folder_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise huggingface_hub.errors.LocalTokenNotFoundError("no token")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    write_weights(tmp_path / "0.safetensors", GPT(BYTES), {"tokenizer": "bytes"})
    with pytest.raises(RuntimeError, match=r"out is written, but could not be pushed to me/model .*hf auth login"):
        export(str(tmp_path / "0.safetensors"), out=str(tmp_path / "out"), push="me/model")
    assert read_weights(tmp_path / "out").config == BYTES


def test_a_missing_checkpoint_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(tmp_path / "no.safetensors"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith(f"error: no checkpoint at {tmp_path / 'no.safetensors'}")
    assert not (tmp_path / "out").exists()
