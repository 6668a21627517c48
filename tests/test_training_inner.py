"""The inner loop through the command line: three arms, one flag."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from callbacks.run_folder import RunFolder
from connectome import Connectome, Provenance, load_connectome, save_connectome
from lightning_modules.gpt import GPT, GPTConfig
from tests.interruption import InterruptedError_
from tests.same_run import assert_same_curves, assert_same_run

Run = Callable[..., int]


@pytest.fixture
def parent(straight: Path) -> Path:
    """What the last generation of the toy outer loop left."""
    return RunFolder(straight).connectome(2)


def start_and_end(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights before the first and after the last step."""
    return load_file(RunFolder(folder).snapshot(0)), load_file(RunFolder(folder).final)


def test_the_connectome_arm_starts_from_the_file_and_keeps_its_mask(inner: Run, parent: Path, tmp_path: Path) -> None:
    assert inner(tmp_path, "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]") == 0
    start, end = start_and_end(tmp_path)
    for name, matrix in load_connectome(parent).matrices.items():
        assert torch.equal(start[name], matrix * torch.tensor(0.02))
        assert (end[name][matrix == 0] == 0).all()
        assert (end[name] != start[name]).any()


def test_the_random_arm_has_as_many_weights_elsewhere(inner: Run, parent: Path, tmp_path: Path) -> None:
    arm = ["--wiring.arm", "RandomConnectome", "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]"]
    assert inner(tmp_path, *arm) == 0
    start, end = start_and_end(tmp_path)
    expected = load_connectome(parent).random_like(seed=0)
    for name, matrix in load_connectome(parent).matrices.items():
        assert torch.equal(start[name], expected.matrices[name] * torch.tensor(0.02))
        assert start[name].count_nonzero() == matrix.count_nonzero()
        assert ((start[name] != 0) != (matrix != 0)).any()
        assert (end[name][start[name] == 0] == 0).all()


def test_the_dense_arm_is_left_alone_and_needs_no_file(inner: Run, tmp_path: Path) -> None:
    assert inner(tmp_path, "--wiring.arm", "NoConnectome", "--keep.snapshot_at", "[0]") == 0
    start, end = start_and_end(tmp_path)
    for name, weight in end.items():
        assert (weight != 0).all()
        assert 0.01 < start[name].std() < 0.03 or "c_proj" in name


def test_shuffled_signs_are_on_the_same_mask(inner: Run, parent: Path, tmp_path: Path) -> None:
    arm = ["--wiring.arm", "ShuffledSigns", "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]"]
    assert inner(tmp_path, *arm) == 0
    start, end = start_and_end(tmp_path)
    for name, matrix in load_connectome(parent).matrices.items():
        assert torch.equal(start[name] != 0, matrix != 0)
        assert start[name].sum().item() == pytest.approx(0.02 * float(matrix.sum()), abs=1e-4)  # as many of each sign
        assert (start[name].sign() != matrix).any()
        assert (end[name][matrix == 0] == 0).all()


def test_positions_alone_keep_the_values_of_the_model(inner: Run, parent: Path, tmp_path: Path) -> None:
    """Those of a checkpoint, if there is one; else ordinary initialisation."""
    arm = ["--wiring.arm", "PositionsOnly", "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]"]
    trained = RunFolder(parent.parents[1]).kept(2)
    for folder, options in ((tmp_path / "fresh", []), (tmp_path / "trained", ["--model.checkpoint", str(trained)])):
        assert inner(folder, *arm, *options) == 0
        start, end = start_and_end(folder)
        for name, matrix in load_connectome(parent).matrices.items():
            assert torch.equal(start[name] != 0, matrix != 0)
            assert len(start[name].abs().unique()) > 2
            assert (end[name][matrix == 0] == 0).all()
    for name, weight in load_file(trained).items():
        assert torch.equal(start[name], weight * (start[name] != 0))


def test_initialisation_alone_trains_every_weight(inner: Run, parent: Path, tmp_path: Path) -> None:
    arm = ["--wiring.arm", "InitialisationOnly", "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]"]
    assert inner(tmp_path, *arm) == 0
    start, end = start_and_end(tmp_path)
    for name, matrix in load_connectome(parent).matrices.items():
        assert torch.equal(start[name], matrix * torch.tensor(0.02))
        assert (end[name][matrix == 0] != 0).any()
    assert '"density": 1.0' in (tmp_path / "records.jsonl").read_text()


def test_another_seed_draws_another_random_connectome(inner: Run, parent: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        options = ["--wiring.arm", "RandomConnectome", "--wiring.connectome", str(parent), "--keep.snapshot_at", "[0]"]
        assert inner(tmp_path / str(seed), *options, "--seed_everything", str(seed)) == 0
    one, two = (load_file(RunFolder(tmp_path / seed).snapshot(0)) for seed in "12")
    assert any(not torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("arm", ["Connectome", "NoConnectome"])
def test_an_interrupted_inner_run_ends_like_the_undisturbed_one(
    inner: Run, parent: Path, tmp_path: Path, arm: str
) -> None:
    options = ["--wiring.arm", arm, "--wiring.connectome", str(parent)]
    assert inner(tmp_path / "straight", *options) == 0
    crash = ["--trainer.callbacks+=tests.interruption.Interruption", "--trainer.callbacks.step=4"]
    with pytest.raises(InterruptedError_):
        inner(tmp_path / "crashed", *options, *crash)
    assert inner(tmp_path / "crashed", *options) == 0
    assert_same_run(tmp_path / "straight", tmp_path / "crashed")
    assert_same_curves(tmp_path / "straight", tmp_path / "crashed")


def test_a_connectome_of_another_architecture_is_named_and_refused(
    inner: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = GPT(GPTConfig(vocab_size=64, n_layer=1, n_head=1, n_embd=8, block_size=16))
    weights = dict(net.named_parameters())
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    save_connectome(Connectome.from_weights(weights, masks, architecture={"n_layer": 1}), tmp_path / "other.connectome")
    assert inner(tmp_path / "run", "--wiring.connectome", str(tmp_path / "other.connectome")) == 1
    message = capsys.readouterr().err
    assert "another architecture" in message
    assert "'n_layer': 1" in message
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_connectome_of_another_tokenizer_is_refused(
    inner: Run, parent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evolved = load_connectome(parent)
    bytes_evolved = Connectome(evolved.matrices, evolved.architecture, Provenance(generation=2, tokenizer="bytes"))
    save_connectome(bytes_evolved, tmp_path / "bytes.connectome")
    assert inner(tmp_path / "run", "--wiring.connectome", str(tmp_path / "bytes.connectome")) == 1
    assert "evolved on tokens of 'bytes'" in capsys.readouterr().err


def test_an_arm_without_its_file_says_which_option_to_set(
    inner: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inner(tmp_path / "run", "--wiring.connectome", str(tmp_path / "nowhere.connectome")) == 1
    assert "no connectome at" in capsys.readouterr().err
