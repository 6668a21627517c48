"""Models that others published: read by their names and shapes, without running anything of theirs."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_gpt import reference_logits
from torch import Tensor

import cli
from callbacks.run_folder import RunFolder
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.language_model import LanguageModel
from lightning_modules.published_weights import recognise
from lightning_modules.weights import CheckpointError, read_weights, write_weights

SHAPE = {"vocab_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6}
RELEASED = {  # the fields of the authors' config.json
    "model_type": "GenerationalPruning.GPT",
    "architectures": ["GPT"],
    "auto_map": {"AutoConfig": "config.GPTConfig", "AutoModelForCausalLM": "model.GPT"},
    "dropout": 0.0,
    "bias": False,
    "pos_init": None,
} | SHAPE


class Hostile:
    """Makes a folder when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def released(net: GPT) -> dict[str, Tensor]:
    """Matrices as the authors' files have them: a head of its own, and a buffer of frequencies in every block."""
    width = net.config.n_embd // net.config.n_head
    frequencies = 10_000 ** (-torch.arange(0, width, 2) / width)
    buffers = {f"transformer.h.{n}.attn.rotary.inv_freq": frequencies.clone() for n in range(net.config.n_layer)}
    return {name: matrix.detach().clone() for name, matrix in net.state_dict().items()} | buffers


def write_model(folder: Path, tensors: dict[str, Any], about: dict[str, Any] | None, *, pickled: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    if about is not None:
        (folder / "config.json").write_text(json.dumps(about))
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def large(**changes: Any) -> GPT:
    """A toy with large weights, so that every part of it shows in the logits."""
    torch.manual_seed(0)
    net = GPT(GPTConfig(**(SHAPE | {"tied_embeddings": False} | changes)))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return net


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
def test_a_released_model_gives_the_logits_of_the_reference_beyond_its_context_too(
    pickled: bool, tmp_path: Path
) -> None:
    net = large()
    weights = read_weights(write_model(tmp_path / "released", released(net), RELEASED, pickled=pickled))
    assert weights.config == net.config
    tokens = torch.randint(0, 32, (2, 15), generator=torch.Generator().manual_seed(1))
    logits = weights.network()(tokens).detach().numpy()
    np.testing.assert_allclose(logits, reference_logits(net, tokens), rtol=0, atol=2e-5)
    assert weights.record == {"origin": "released"}


def test_a_released_model_turns_its_heads_in_the_authors_sense(tmp_path: Path) -> None:
    """One block of one head of four, tokens 0 and 2, everything the identity but a head of 2.

    The norm makes 2 e0 and 2 e2 of the embeddings. The query e2, turned by 1 radian, has the part sin 1 along e0: the
    scores are 4 sin 1 / 2 = 1.682942 and 4 / 2 = 2, and the attention 0.421393 and 0.578607. The stream is
    e2 + (0.842786 e0 + 1.157214 e2) / sqrt 2 = 0.595940 e0 + 1.818274 e2, whose root mean square is 0.956722. In
    GPT-NeoX' sense the part along e0 would be -sin 1, and the first logit 0.058.
    """
    unit = torch.eye(4)
    block = {
        "attn.c_attn.weight": torch.cat([unit, unit, unit]),
        "attn.c_proj.weight": unit.clone(),
        "attn.rotary.inv_freq": torch.tensor([1.0, 0.01]),
        "mlp.c_fc.weight": torch.zeros(16, 4),
        "mlp.c_proj.weight": torch.zeros(4, 16),
    }
    tensors = {f"transformer.h.0.{name}": tensor for name, tensor in block.items()}
    tensors |= {"transformer.wte.weight": unit.clone(), "lm_head.weight": 2 * unit}
    about = RELEASED | {"vocab_size": 4, "n_layer": 1, "n_head": 1, "n_embd": 4}
    net = read_weights(write_model(tmp_path / "released", tensors, about)).network()
    logits = net(torch.tensor([[0, 2]]))[0, 1]
    torch.testing.assert_close(logits, torch.tensor([1.245795, 0.0, 3.801050, 0.0]), rtol=0, atol=2e-6)


def test_a_model_without_config_is_concluded_from_its_matrices_and_says_so(tmp_path: Path) -> None:
    net = large(vocab_size=50_257, n_embd=128, n_head=2, n_layer=1, block_size=1024)
    folder = write_model(tmp_path / "released", released(net), None)
    with pytest.warns(UserWarning, match="assumed: n_head = 2, block_size = 1024"):
        weights = read_weights(folder)
    assert weights.config == net.config
    assert weights.record["tokenizer"] == "gpt2"


@pytest.mark.parametrize(
    ("vocabulary", "tokenizer"), [(50_256, None), (50_257, "gpt2"), (50_304, "gpt2"), (50_305, None)]
)
def test_a_vocabulary_of_gpt_2_s_size_is_gpt_2_s(vocabulary: int, tokenizer: str | None) -> None:
    tensors = {"transformer.wte.weight": torch.zeros(1, 2).expand(vocabulary, 2)}
    assert recognise(tensors, {"n_layer": 1, "n_head": 1}).record.get("tokenizer") == tokenizer


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    tensors = {name: matrix.bfloat16() for name, matrix in released(large()).items()}
    weights = read_weights(write_model(tmp_path / "released", tensors, RELEASED))
    assert {matrix.dtype for matrix in weights.tensors.values()} == {torch.float32}
    assert torch.equal(weights.tensors["lm_head.weight"].bfloat16(), tensors["lm_head.weight"])


def test_a_tied_head_that_a_pickle_holds_twice_is_tied(tmp_path: Path) -> None:
    net = large(tied_embeddings=True)
    weights = read_weights(write_model(tmp_path / "released", released(net), RELEASED, pickled=True))
    assert weights.config == net.config
    assert "lm_head.weight" not in weights.tensors


def test_training_and_evaluation_start_from_a_released_model(tmp_path: Path) -> None:
    net = large()
    model = LanguageModel(checkpoint=str(write_model(tmp_path / "released", released(net), RELEASED)))
    assert model.config == net.config
    assert all(torch.equal(a, b) for a, b in zip(model.net.parameters(), net.parameters(), strict=True))


def test_the_command_line_validates_a_released_model(
    tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = GPT(GPTConfig(vocab_size=64, n_layer=1, n_head=1, n_embd=4, block_size=16, tied_embeddings=False))
    for weight in net.parameters():
        torch.nn.init.zeros_(weight)
    torch.nn.init.ones_(net.lm_head.weight)  # all logits are equal, and the head is not the embedding
    about = RELEASED | asdict(net.config) | {"tied_embeddings": None}
    folder = write_model(tmp_path / "released", released(net), {k: v for k, v in about.items() if v is not None})
    options = f"--data.folder {shards} --model.block_size 16 --data.validation_tokens 160 --trainer.accelerator cpu "
    options += "--data.full_validation_tokens 800 --trainer.precision 32-true"
    assert cli.main(["validate", "--model.checkpoint", str(folder), *options.split()]) == 0
    assert "4.158" in capsys.readouterr().out  # ln 64


def test_further_training_starts_from_a_released_model(inner: Any, tmp_path: Path) -> None:
    net = large(vocab_size=64, n_embd=16, block_size=16)
    about = RELEASED | {"vocab_size": 64, "n_embd": 16, "block_size": 16}
    folder = write_model(tmp_path / "released", released(net), about)
    options = ["--wiring.arm", "NoConnectome", "--model.checkpoint", str(folder), "--keep.snapshot_at", "[0]"]
    assert inner(tmp_path / "run", *options) == 0
    first, last = (
        read_weights(path) for path in (RunFolder(tmp_path / "run").snapshot(0), RunFolder(tmp_path / "run").final)
    )
    assert all(torch.equal(first.tensors[name], matrix) for name, matrix in net.named_parameters())
    assert not any(torch.equal(last.tensors[name], matrix) for name, matrix in net.named_parameters())
    assert last.record["origin"] == "released"


# what is refused


def gpt2() -> dict[str, Tensor]:
    names = ["transformer.wpe.weight", "transformer.h.0.attn.c_attn.bias", "transformer.h.0.ln_1.weight"]
    return released(large()) | {name: torch.zeros(8) for name in names}


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        (gpt2(), {"model_type": "gpt2"}, "another architecture, 'gpt2' by its config.json"),
        (
            gpt2(),
            None,
            r"another architecture \(GPT-2 \(learned positions\)\): it has transformer.h.0.attn.c_attn.bias",
        ),
        ({"model.layers.0.mlp.up_proj.weight": torch.ones(2, 2)}, None, r"another architecture \(Llama or one of its"),
        ({"model.embed_tokens.weight": torch.ones(2, 2)}, {"model_type": "llama"}, "'llama' by its config.json"),
        ({"a": torch.ones(2)}, RELEASED, r"another architecture \(unknown\): it has a"),
        ({"lm_head.weight": torch.ones(2, 2)}, None, "it has no transformer.wte.weight"),
        ({"transformer.wte.weight": torch.ones(2)}, RELEASED, "not all of its parameters are matrices"),
        (released(large()), RELEASED | {"n_layer": 3}, "does not hold the GPT that it names"),
        (released(large()), RELEASED | {"n_head": 3}, "a head must have an even width"),
        (released(large()), RELEASED | {"n_head": "two"}, "cannot be read as a GPT"),
        (released(large()), [1], "cannot be read as a GPT"),
    ],
)
def test_another_architecture_is_named(
    tensors: dict[str, Tensor], about: Any, message: str, pickled: bool, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "other", tensors, about, pickled=pickled)
    with pytest.raises(CheckpointError, match=message):
        read_weights(folder)


@pytest.mark.filterwarnings("ignore")
def test_gpt_2_s_transposed_matrices_are_refused_even_under_the_right_names(tmp_path: Path) -> None:
    tensors = {
        name: matrix.t().contiguous() if ".h." in name else matrix for name, matrix in large().state_dict().items()
    }
    with pytest.raises(CheckpointError, match=r"does not hold the GPT that it names.*c_attn\.weight first"):
        read_weights(write_model(tmp_path / "other", tensors, RELEASED))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    tensors = released(large()) | {"transformer.wte.weight": Hostile(tmp_path / "trace")}
    folder = write_model(tmp_path / "hostile", tensors, RELEASED, pickled=True)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is refused: it holds more than tensors"):
        read_weights(folder)
    assert not (tmp_path / "trace").exists()


def test_code_beside_a_model_is_never_run(tmp_path: Path) -> None:
    """As the released models bring it: transformers would import it, once it is trusted."""
    folder = write_model(tmp_path / "released", released(large()), RELEASED)
    for name in ("config.py", "model.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(f"import os\nos.mkdir({str(tmp_path / 'trace')!r})\n")
    assert read_weights(folder).config.n_layer == 2
    assert not (tmp_path / "trace").exists()


def test_a_model_that_is_only_code_is_refused_without_running_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "code", {"a": torch.ones(1)}, RELEASED | {"model_type": "mine"})
    (folder / "model.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'trace')!r})\n")
    with pytest.raises(CheckpointError, match="another architecture, 'mine'"):
        read_weights(folder)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'"x"'])
def test_a_damaged_config_is_named(content: bytes, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "broken", released(large()), None)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="broken cannot be read as a GPT"):
        read_weights(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_truncated_model_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "cut", released(large()), RELEASED, pickled=name.endswith("bin"))
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut"):
        read_weights(folder)


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has neither model\.safetensors nor pytorch_model\.bin"):
        read_weights(tmp_path)


def test_the_folder_of_a_run_asks_for_one_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match="is the folder of a run: name one of its checkpoints"):
        read_weights(tmp_path)


def test_a_file_of_this_project_in_a_folder_says_all_itself(tmp_path: Path) -> None:
    net = large()
    write_weights(tmp_path / "model.safetensors", net, {"step": 3})
    assert read_weights(tmp_path).record == {"step": 3}
    assert read_weights(tmp_path).config == net.config
