"""Models by their name on the Hub: what is fetched, and what is said when nothing can be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import torch
from fake_hub import FakeHub
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file

from lightning_modules import hub_model
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.hub_model import fetch_model, is_hub_name
from lightning_modules.weights import CheckpointError, read_weights

NET = GPT(GPTConfig(vocab_size=8, n_layer=1, n_head=1, n_embd=4, block_size=8, tied_embeddings=False))
ABOUT = {"model_type": "GenerationalPruning.GPT", "n_head": 1, "block_size": 8}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str | None]]:
    """A Hub whose every model is the folder `tmp_path`; what was asked of it."""
    asked = []

    def download(repository: str, file: str, revision: str | None = None) -> str:
        asked.append((repository, file, revision))
        if not (tmp_path / file).is_file():
            raise EntryNotFoundError(file)
        return str(tmp_path / file)

    monkeypatch.setattr(hub_model, "hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize("name", ["owner/model", "TuKoResearch/ConnectomeGPT100M", "a/b@main", "a-b/c.d_e@" + "f" * 40])
def test_an_owner_and_a_model_are_a_name_on_the_hub(name: str) -> None:
    assert is_hub_name(name)


@pytest.mark.parametrize(
    "name",
    ["model", "/owner/model", "./model", "../model", "a/b/c", "runs/0.safetensors", "runs/step.ckpt", "tests/.."],
)
def test_a_path_is_no_name_on_the_hub(name: str) -> None:
    assert not is_hub_name(name)


def test_a_folder_that_is_here_comes_before_the_hub(hub: list[tuple[str, str, str | None]], tmp_path: Path) -> None:
    (tmp_path / "owner" / "model").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="is not the folder of a model"):
        read_weights("owner/model")
    assert hub == []


def test_a_model_is_fetched_with_its_shape_and_read(hub: list[tuple[str, str, str | None]], tmp_path: Path) -> None:
    save_file({name: matrix.detach().clone() for name, matrix in NET.state_dict().items()}, "model.safetensors")
    Path("config.json").write_text(json.dumps(ABOUT))
    weights = read_weights("owner/model@v2")
    assert weights.config == NET.config
    assert weights.record == {"origin": "owner/model@v2"}
    files = ["model.safetensors", "config.json", "connectome.connectome"]
    assert hub == [("owner/model", file, "v2") for file in files]


def test_a_pickled_model_is_fetched_where_there_is_no_other(
    hub: list[tuple[str, str, str | None]], tmp_path: Path
) -> None:
    torch.save(NET.state_dict(), "pytorch_model.bin")
    assert fetch_model("owner/model") == tmp_path
    assert [file for _, file, _ in hub][:2] == ["model.safetensors", "pytorch_model.bin"]


def test_no_code_is_fetched(hub: list[tuple[str, str, str | None]], tmp_path: Path) -> None:
    torch.save(NET.state_dict(), "pytorch_model.bin")
    Path("model.py").touch()
    fetch_model("owner/model")
    assert not [file for _, file, _ in hub if file.endswith(".py")]


def test_a_model_without_weights_says_so(hub: list[tuple[str, str, str | None]]) -> None:
    with pytest.raises(FileNotFoundError, match=r"owner/model on the Hub holds neither model\.safetensors nor"):
        fetch_model("owner/model")


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("no connection"),
        RepositoryNotFoundError(
            "no such model", response=httpx2.Response(404, request=httpx2.Request("GET", "http://x"))
        ),
        ConnectionError("no route to host"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*arguments: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(hub_model, "hf_hub_download", download)
    with pytest.raises(
        FileNotFoundError, match=r"runs/typo is neither a file or folder here nor a model .*--local-dir"
    ):
        read_weights("runs/typo")


@pytest.mark.slow
def test_a_model_comes_through_the_real_client(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    torch.save(NET.state_dict(), tmp_path / "hub" / "pytorch_model.bin")
    (tmp_path / "hub" / "config.json").write_text(json.dumps(ABOUT))
    code = "from lightning_modules.weights import read_weights; print(read_weights('some/model'))"
    with FakeHub(tmp_path / "hub") as hub:
        environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | environment,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=120,
        )
        hub.shutdown()
    assert done.returncode == 0, done.stderr
    assert "n_embd=4, block_size=8, tied_embeddings=False" in done.stdout
