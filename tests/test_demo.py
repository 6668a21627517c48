"""The demo, and the replication, are the paper's experiment with other numbers."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import cli

DEMO_ONLY = {"model.n_layer", "model.n_head", "model.n_embd", "model.vocab_size", "model.block_size"}
# What a laptop needs otherwise: where things lie, and a processor without bfloat16.
LAPTOP = {
    "run",
    "data.folder",
    "data.validation",
    "wiring.init_args.connectome",
    "model.compile",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.precision",
}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix: config}
    return {key: value for name in config for key, value in flat(config[name], f"{prefix}.{name}".lstrip(".")).items()}


def read(path: Path) -> dict[str, Any]:
    return flat(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("folder", ["demo", "replication"])
@pytest.mark.parametrize("loop", ["outer", "inner"])
def test_the_paper_s_experiment_is_made_smaller_in_numbers_only(folder: str, loop: str) -> None:
    paper, demo = read(ROOT / f"{loop}.yaml"), read(ROOT / folder / f"{loop}.yaml")
    assert demo.keys() - paper.keys() == DEMO_ONLY
    assert paper.keys() - demo.keys() == {"model.size"}
    differing = {key for key in paper.keys() & demo.keys() if paper[key] != demo[key]} - LAPTOP
    values = [value for key in differing for value in (demo[key] if isinstance(demo[key], list) else [demo[key]])]
    assert all(type(value) in (int, float) for value in values), differing
    assert {"generations", "wiring.init_args.fraction"}.isdisjoint(differing)


@pytest.mark.parametrize("loop", ["outer", "inner"])
def test_the_demo_takes_a_step(loop: str, shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = ["fit", "--config", str(ROOT / "demo" / f"{loop}.yaml"), "--data.folder", str(shards)]
    line += ["--data.validation_tokens", "1024", "--data.full_validation_tokens", "1024"]
    line += ["--run", str(tmp_path / "run"), "--trainer.fast_dev_run", "true"]
    line += ["--wiring.arm", "NoConnectome"] if loop == "inner" else []
    assert cli.main(line) == 0, capfd.readouterr().err


@pytest.mark.parametrize("folder", ["demo", "replication"])
def test_the_inner_loop_starts_from_the_last_generation(folder: str) -> None:
    outer, inner = read(ROOT / folder / "outer.yaml"), read(ROOT / folder / "inner.yaml")
    last = outer["generations"] - 1
    assert inner["wiring.init_args.connectome"] == f"{outer['run']}/connectomes/generation_{last}.connectome"
