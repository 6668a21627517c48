"""The command line: both shipped YAMLs, --help, and bad input that ends in one message before anything is written."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.strategies import FSDPStrategy

import cli
from callbacks.run_folder import RunFolder
from datamodules.token_shards import write_shard
from evaluation import EVALUATIONS

Run = Callable[..., int]
ROOT = Path(cli.__file__).parent


@pytest.mark.parametrize("name", ["outer.yaml", "inner.yaml"])
def test_the_shipped_configurations_survive_a_fast_dev_run(
    name: str, toy: list[str], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wiring = ["--wiring.connectome", str(RunFolder(straight).connectome(2))] if name == "inner.yaml" else []
    line = ["fit", "--config", str(ROOT / name), *toy, *wiring, "--trainer.fast_dev_run", "true"]
    assert cli.main(line) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["outer.yaml", "inner.yaml"])
def test_the_shipped_configurations_say_the_papers_numbers(name: str) -> None:
    config = yaml.safe_load((ROOT / name).read_text())
    inner = name == "inner.yaml"
    assert config["steps_per_generation"] == (2000 if inner else 7000)
    assert config["generations"] == (1 if inner else 6)
    assert config["data"]["batch_size"] == 512
    assert config["model"]["learning_rate"] == 0.0018
    assert (config["model"]["warmup_steps"], config["model"]["decay_steps"]) == (250, 1750)


WORDS = [[verb] for verb in cli.VERBS if verb != "test"] + [["test", name] for name in EVALUATIONS]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_option_of_every_verb_is_explained(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    ours = re.findall(r"^  (--(?:model|data|wiring|checkpoint|keep)\.\w+)[^\n]*\n?([^\n]*)", text, re.MULTILINE)
    assert all("(required" in line or "(type" in line or line.strip() for _, line in ours)


@pytest.mark.parametrize(
    ("wiring", "words"), [("GenerationalPruning", "does not pass on"), ("InheritConnectome", "arm")]
)
def test_help_of_the_wirings_explains_their_options(
    wiring: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", "--wiring.help", wiring])
    assert words in " ".join(capsys.readouterr().out.split())


def test_an_unknown_verb_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fitt"]) == 2
    assert "known: fit, validate" in capsys.readouterr().err


def test_validate_asks_for_model_checkpoint(toy: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", "--ckpt_path", "x.ckpt"]) == 1
    assert "--model.checkpoint" in capsys.readouterr().err


BAD_OPTIONS = {
    "no such folder": (["--data.folder", "nowhere"], "python cli.py prepare"),
    "indivisible batch": (["--data.micro_batch_size", "5"], "12 / 5 = 2.4"),
    "interval that does not divide": (
        ["--data.validation_interval", "4"],
        "not a whole number of validation intervals",
    ),
    "vocabulary too small": (["--model.vocab_size", "32"], "--model.vocab_size to at least 61"),
    "validation part too small": (["--data.full_validation_tokens", "16000"], "--data.full_validation_tokens"),
    "too few tokens for one batch": (["--data.batch_size", "2400"], "fewer than the 2400 of one global batch"),
    "eps of zero": (["--model.eps", "0"], "eps must be positive"),
    "warm-up longer than a generation": (["--model.warmup_steps", "6"], "do not fit a generation of 6"),
    "micro-batches counted by hand": (["--trainer.accumulate_grad_batches", "2"], "--data.micro_batch_size"),
    "uneven heads": (["--model.n_head", "3"], "even width"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_options_end_in_one_message_before_training(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert outer(tmp_path / "run", *options) == 1
    captured = capsys.readouterr().err
    assert message in captured
    assert "Traceback" not in captured
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_validation_shards_are_not_trained_on(
    outer: Run, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outer(tmp_path / "run", "--data.train", "validation", "--data.batch_size", "4") == 1
    assert "in training and in validation" in capsys.readouterr().err


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def replace_header(path: Path) -> None:
    path.write_bytes(b"text" * 300)


@pytest.mark.parametrize(("damage", "message"), [(truncate, "truncated"), (replace_header, "is not a token shard")])
def test_damaged_shards_are_named(
    outer: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    message: str,
) -> None:
    for part in ("large", "validation"):
        write_shard(tmp_path / "data" / part / f"{part}_000000.bin", np.arange(4000) % 61)
    damage(tmp_path / "data" / "large" / "large_000000.bin")
    assert outer(tmp_path / "run", "--data.folder", str(tmp_path / "data")) == 1
    captured = capsys.readouterr().err
    assert message in captured
    assert "large_000000.bin" in captured


def test_a_folder_with_another_runs_connectomes_is_not_overwritten(
    outer: Run, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = RunFolder(tmp_path).connectome(0)
    there.parent.mkdir(parents=True)
    there.write_bytes(RunFolder(straight).connectome(0).read_bytes())
    before = there.read_bytes()
    assert outer(tmp_path) == 1
    assert "of another run and no config.yaml" in capsys.readouterr().err
    assert there.read_bytes() == before


def test_another_configuration_in_the_same_folder_is_refused_and_named(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outer(tmp_path, "--generation", "0") == 0
    config = (tmp_path / "config.yaml").read_bytes()
    assert outer(tmp_path, "--model.learning_rate", "0.1") == 1
    assert "model.learning_rate: 0.0018 -> 0.1" in capsys.readouterr().err
    assert (tmp_path / "config.yaml").read_bytes() == config


def test_a_start_that_failed_binds_nobody_to_its_options(outer: Run, tmp_path: Path) -> None:
    assert outer(tmp_path, "--model.vocab_size", "32") == 1
    assert outer(tmp_path, "--generation", "0") == 0


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverge = ["--trainer.callbacks+=tests.divergence.Divergence", "--trainer.callbacks.step=4"]
    assert outer(tmp_path, *diverge) == 1
    assert "not finite at optimizer step 5" in capsys.readouterr().err
    assert max(RunFolder(tmp_path).checkpoints()) == 3  # the last good one
    assert outer(tmp_path) == 0


def test_a_hostile_checkpoint_is_refused(
    outer: Run, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return Path.mkdir, (tmp_path / "owned",)  # type: ignore[return-value]

    path = RunFolder(tmp_path / "run").checkpoint(3)
    path.parent.mkdir(parents=True)
    shutil.copy(straight / "config.yaml", tmp_path / "run" / "config.yaml")
    torch.save({"state_dict": Hostile()}, path)
    assert outer(tmp_path / "run") == 1
    assert "is refused" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--trainer.strategy", "deepspeed_stage_2"], "DeepSpeedStrategy"),  # which need not be installed
        (["--trainer.strategy", "fsdp"], "FSDPStrategy"),
        (["--trainer.strategy.class_path", "ModelParallelStrategy"], "ModelParallelStrategy"),
    ],
)
def test_strategies_that_shard_parameters_are_refused_by_name(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], name: str
) -> None:
    assert outer(tmp_path / "run", *options) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {name} flattens or shards parameters")
    assert message.endswith("use --trainer.strategy ddp")


@pytest.mark.parametrize("micro_batch", ["4", "1"])
def test_out_of_memory_names_the_next_smaller_micro_batch(
    outer: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, micro_batch: str
) -> None:
    def training_step(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("lightning_modules.language_model.LanguageModel.training_step", training_step)
    assert outer(tmp_path / "run", "--data.micro_batch_size", micro_batch) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: out of memory on cpu with micro-batches of {micro_batch}, 0.0 GB (")
    assert ("set --data.micro_batch_size 3, the next smaller divisor" in message) is (micro_batch == "4")


def test_a_strategy_that_shards_parameters_is_refused() -> None:
    from callbacks.sparse_training import SparseTraining

    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(ValueError, match="FSDPStrategy flattens or shards parameters"):
        SparseTraining().setup(trainer, SimpleNamespace(net=torch.nn.Linear(2, 2, bias=False)), "fit")
