"""A run's configuration: what may change between two starts of it, and what would make it another experiment."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from callbacks.run_config import RunConfig

CONFIG: dict[str, Any] = {
    "run": "runs/a",
    "seed_everything": 0,
    "generations": 6,
    "generation": None,
    "steps_per_generation": 7000,
    "model": {"n_layer": 12, "eps": 1e-08, "compile": False, "checkpoint": None, "tied_embeddings": None},
    "data": {"folder": "data/fineweb", "train": "large", "micro_batch_size": 16, "batch_size": 512, "seed": 0},
    "wiring": {"class_path": "callbacks.GenerationalPruning", "init_args": {"fraction": 0.2}},
    "checkpoint": {"every": 1000, "keep": 3},
    "keep": {"snapshot_at": None},
    "trainer": {"devices": 8, "precision": "bf16-mixed", "gradient_clip_val": 1.0, "callbacks": []},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The configuration with one entry changed, by its dotted name."""
    config = deepcopy(CONFIG)
    *outer, last = path.split(".")
    place = config
    for key in outer:
        place = place[key]
    place[last] = value
    return config


@pytest.fixture
def begun(tmp_path: Path) -> RunConfig:
    """The configuration of a run that was started once."""
    config = RunConfig(tmp_path / "config.yaml")
    config.settle(CONFIG, begun=False, write=True)
    return config


def test_the_first_start_writes_the_configuration(begun: RunConfig) -> None:
    assert yaml.safe_load(begun.path.read_text()) == CONFIG


def test_the_order_of_the_entries_is_kept(begun: RunConfig) -> None:
    assert list(yaml.safe_load(begun.path.read_text())) == list(CONFIG)


def test_the_same_configuration_goes_on(begun: RunConfig) -> None:
    before = begun.path.read_bytes()
    begun.settle(deepcopy(CONFIG), begun=True, write=True)
    assert begun.path.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("run", "elsewhere/a"),
        ("generations", 7),
        ("generation", 3),
        ("data.folder", "/scratch/fineweb"),
        ("data.micro_batch_size", 32),
        ("checkpoint.every", 500),
        ("keep.snapshot_at", [1, 2, 4]),
        ("trainer.devices", 1),
        ("trainer.log_every_n_steps", 1),
    ],
)
def test_what_makes_no_other_experiment_may_change(begun: RunConfig, path: str, value: Any) -> None:
    begun.settle(changed(path, value), begun=True, write=True)
    assert yaml.safe_load(begun.path.read_text()) == changed(path, value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed_everything", 1),
        ("steps_per_generation", 8000),
        ("model.n_layer", 6),
        ("model.eps", 1e-6),
        ("model.tied_embeddings", False),
        ("data.train", "small"),
        ("data.batch_size", 256),
        ("wiring.class_path", "callbacks.InheritConnectome"),
        ("wiring.init_args.fraction", 0.3),
        ("wiring.init_args.scope", "global"),
        ("trainer.precision", "32-true"),
        ("trainer.gradient_clip_val", None),
    ],
)
def test_another_experiment_is_refused_and_the_message_says_what_differs(
    begun: RunConfig, path: str, value: Any
) -> None:
    before = begun.path.read_bytes()
    with pytest.raises(ValueError, match="holds a run with another configuration") as caught:
        begun.settle(changed(path, value), begun=True, write=True)
    assert f"{path}: " in str(caught.value)
    assert f" -> {value}" in str(caught.value)
    assert "or another folder with --run" in str(caught.value)
    assert begun.path.read_bytes() == before


def test_several_differences_are_all_named(begun: RunConfig) -> None:
    config = changed("model.n_layer", 6) | {"seed_everything": 1}
    with pytest.raises(ValueError, match=r"\(model\.n_layer: 12 -> 6; seed_everything: 0 -> 1\)"):
        begun.settle(config, begun=True, write=True)


def test_a_rank_that_does_not_lead_compares_but_writes_nothing(begun: RunConfig, tmp_path: Path) -> None:
    other = RunConfig(tmp_path / "other.yaml")
    other.settle(CONFIG, begun=False, write=False)
    assert not other.path.exists()
    with pytest.raises(ValueError, match="seed_everything"):
        begun.settle(changed("seed_everything", 1), begun=True, write=False)


def test_products_without_a_configuration_are_another_runs(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"of another run and no config\.yaml"):
        RunConfig(tmp_path / "config.yaml").settle(CONFIG, begun=True, write=True)
    assert not (tmp_path / "config.yaml").exists()


def test_a_start_that_left_nothing_binds_nobody(begun: RunConfig) -> None:
    begun.settle(changed("seed_everything", 1), begun=False, write=True)
    assert yaml.safe_load(begun.path.read_text())["seed_everything"] == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.compile", True),
        ("model.logits_budget", 0.0),
        ("trainer.accelerator", "cpu"),
        ("trainer.strategy", "ddp"),
    ],
)
def test_what_changes_roundings_may_change_and_is_said(begun: RunConfig, path: str, value: Any) -> None:
    with pytest.warns(UserWarning, match=f"{path} changed since the run began"):
        begun.settle(changed(path, value), begun=True, write=True)
