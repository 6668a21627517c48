"""Brain responses through the command line: small tables and models, and the published table."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from small_brain import sentences, write_localizer, write_means, write_participants

import cli
from datamodules.brain_responses import FILES
from datamodules.tuckute2024 import Tuckute2024
from lightning_modules.encoding_model import folds_of
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

SHARED = Path(os.environ.get("CONNECTOMES_SHARED", "")) / "data"
BYTES = GPTConfig(vocab_size=320, n_layer=2, n_head=1, n_embd=16, block_size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_means(tmp_path_factory.mktemp("responses"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model") / "model.safetensors")


def checkpoint(path: Path, config: GPTConfig = BYTES, tokenizer: str = "bytes") -> Path:
    torch.manual_seed(0)
    write_weights(path, GPT(config), {"tokenizer": tokenizer, "step": 7})
    return path


def evaluate(weights: Path, folder: Path, out: Path, *options: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Records by metric, and the table of sentences."""
    line = ["test", "tuckute2024", "--model.checkpoint", str(weights), "--data.folder", str(folder)]
    assert cli.main([*line, "--files.out", str(out), "--trainer.accelerator", "cpu", *options]) == 0
    [records] = (out / "evaluations" / "tuckute2024").rglob("*.jsonl")
    by_metric = {record["metric"]: record for record in map(json.loads, records.read_text().splitlines())}
    return by_metric, pq.read_table(records.with_suffix(".parquet")).to_pandas()


def test_each_figure_follows_from_the_table_of_sentences(folder: Path, weights: Path, tmp_path: Path) -> None:
    records, table = evaluate(weights, folder, tmp_path)
    assert set(records) == {
        *(f"r_layer_{layer}" for layer in range(3)),
        *("r_best_layer", "r_nested_layer", "best_layer", "noise_ceiling"),
        *("ceiling_fraction_best_layer", "ceiling_fraction_nested_layer"),
    }
    assert table["sentence"].tolist() == sentences()
    assert table["fold"].tolist() == folds_of(60).tolist()
    for record in records.values():
        if statistic := record["statistic"]:
            assert statistic["kind"] == "pearson_by_fold"
            folds = [part for _, part in table.groupby(statistic["fold"])]
            pairs = [(part[statistic["x"]], part[statistic["y"]]) for part in folds]
            r = [np.corrcoef(x, y)[0, 1] if x.std() > 1e-7 else 0 for x, y in pairs]
            assert record["value"] == pytest.approx(np.mean(r), abs=1e-9)
            assert record["ci95"][0] < record["value"] < record["ci95"][1]
    layers = [records[f"r_layer_{layer}"]["value"] for layer in range(3)]
    assert records["best_layer"]["value"] == int(np.argmax(layers))
    assert records["r_best_layer"]["value"] == max(layers)
    assert records["noise_ceiling"]["value"] == 0.55915
    assert records["noise_ceiling"]["ci_method"].startswith("published")
    assert records["ceiling_fraction_best_layer"]["value"] == pytest.approx(max(layers) / 0.55915)


def test_the_nested_layer_comes_from_the_training_part_of_each_fold(
    folder: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, table = evaluate(weights, folder, tmp_path)
    layers = table[[f"prediction_layer_{layer}" for layer in range(3)]].to_numpy()
    chosen = (layers == table["prediction_nested_layer"].to_numpy()[:, None]).argmax(axis=1)
    by_fold = [set(chosen[table["fold"] == fold]) for fold in range(5)]
    assert all(len(one) == 1 for one in by_fold)
    assert f"layers {', '.join(str(layer) for one in by_fold for layer in one)} in" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
def test_layer_0_scores_exactly_0_where_all_sentences_end_alike(
    folder: Path, weights: Path, tmp_path: Path, protocol: str
) -> None:
    options = ("--data.protocol", protocol, "--data.final_token")
    records, _ = evaluate(weights, folder, tmp_path / "period", *options, "period")
    assert records["r_layer_0"]["value"] == 0
    assert records["r_layer_0"]["ci95"] == [0, 0]
    assert records["r_layer_1"]["value"] != 0
    given, _ = evaluate(weights, folder, tmp_path / "given", *options, "as_given")
    assert given["r_layer_0"]["value"] != 0


@pytest.mark.parametrize("protocol", ["paper", "corrected"])
def test_responses_planted_in_a_layer_are_found_there(
    folder: Path, weights: Path, tmp_path: Path, protocol: str
) -> None:
    table = pd.read_csv(folder / FILES["means"])
    rng = np.random.default_rng(0)
    endings = {".": 1.0, "!": -1.0, "?": 0.0}  # what layer 0 knows
    for name, noise in (("signal", 0.5), ("nothing", None)):
        known = table["sentence"].str[-1].map(endings).to_numpy()
        response = rng.normal(size=60) if noise is None else known + noise * rng.normal(size=60)
        (tmp_path / name).mkdir()
        table.assign(lang_LH_netw=response).to_csv(tmp_path / name / FILES["means"], index=False)
    options = ("--data.protocol", protocol)
    found, _ = evaluate(weights, tmp_path / "signal", tmp_path / "1", *options)
    assert found["r_layer_0"]["value"] == pytest.approx(0.8 / np.sqrt(0.64 + 0.25), abs=0.15)
    assert abs(found["r_layer_0"]["baselines"]["shuffled"]) < 0.2
    none, _ = evaluate(weights, tmp_path / "nothing", tmp_path / "2", *options)
    assert abs(none["r_nested_layer"]["value"]) < 0.35


def test_batches_do_not_change_the_figures(folder: Path, weights: Path, tmp_path: Path) -> None:
    options = ("--data.protocol", "corrected")
    one, _ = evaluate(weights, folder, tmp_path / "one", *options, "--data.batch_size", "1")
    many, _ = evaluate(weights, folder, tmp_path / "many", *options)
    for name in one:
        assert one[name]["value"] == pytest.approx(many[name]["value"], abs=1e-4)


def test_localized_units_are_scored_beside_random_ones(folder: Path, weights: Path, tmp_path: Path) -> None:
    stimuli = write_localizer(tmp_path / "langloc")
    records, table = evaluate(weights, folder, tmp_path, "--data.localizer_folder", str(stimuli))
    plain, _ = evaluate(weights, folder, tmp_path / "plain")
    for name in plain:
        assert records[name]["value"] == pytest.approx(plain[name]["value"], abs=1e-5)
    for share in ("1pct", "10pct"):
        assert f"prediction_localised_{share}" in table
        baselines = records[f"localised_{share}"]["baselines"]
        assert baselines["random_units"] == records[f"random_units_{share}"]["value"]
        assert set(baselines) == {"tokens", "characters", "shuffled", "shuffled_largest", "random_units"}
    assert records["localised_1pct"]["localizer"] == "absolute"


def test_participants_give_a_ceiling_of_their_own(weights: Path, tmp_path: Path) -> None:
    folder = write_participants(tmp_path / "responses")
    records, table = evaluate(weights, folder, tmp_path, "--data.responses", "participants")
    assert 0.9 < records["noise_ceiling"]["value"] < 1
    assert records["noise_ceiling"]["ci_method"].startswith("computed from the participants")
    assert len(table) == 60


def test_a_region_without_a_known_ceiling_has_none(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_means(tmp_path / "responses")
    table = pd.read_csv(folder / FILES["means"]).rename(columns={"lang_LH_netw": "other"})
    table.to_csv(folder / FILES["means"], index=False)
    records, _ = evaluate(weights, folder, tmp_path, "--data.roi", "other")
    assert "noise_ceiling" not in records
    assert "ceiling: unknown" in capsys.readouterr().out


def test_what_differs_from_the_protocol_is_an_option() -> None:
    assert Tuckute2024(localizer_folder="x", protocol="corrected").options() == {}
    changed = Tuckute2024(
        responses="participants",
        roi="lang_LH_IFG",
        final_token="period",
        final_norm=True,
        localizer_folder="x",
        localizer_activation="signed",
        localizer_whole=True,
    )
    assert changed.options() == {
        "responses": "participants",
        "roi": "lang_LH_IFG",
        "final_token": "period",
        "final_norm": "true",
        "localizer_activation": "signed",
        "localizer_whole": "true",
    }


def test_damaged_weights_are_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = GPT(BYTES)
    net.transformer.wte.weight.data.fill_(float("nan"))
    write_weights(tmp_path / "nan.safetensors", net, {"tokenizer": "bytes"})
    line = ["test", "tuckute2024", "--model.checkpoint", str(tmp_path / "nan.safetensors")]
    assert cli.main([*line, "--data.folder", str(folder), "--files.out", str(tmp_path)]) == 1
    assert "not finite" in capsys.readouterr().err


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(folder: Path, weights: Path, tmp_path: Path) -> None:
    one, _ = evaluate(weights, folder, tmp_path / "one", "--data.protocol", "corrected")
    options = ("--trainer.devices", "2", "--trainer.strategy", "ddp_spawn", "--data.protocol", "corrected")
    two, table = evaluate(weights, folder, tmp_path / "two", *options)
    assert len(table) == 60
    assert two["r_layer_2"]["world_size"] == 2
    for name in one:
        assert one[name]["value"] == pytest.approx(two[name]["value"], abs=1e-4)


@pytest.mark.shared
def test_the_published_sentences_end_in_fourteen_tokens() -> None:
    data = Tuckute2024(folder=str(SHARED / "tuckute2024"))
    data.setup("test")
    last = [text[-1] for text in data.texts]
    assert (len(last), len(set(last)), last.count(13)) == (1000, 14, 838)
    period = Tuckute2024(folder=str(SHARED / "tuckute2024"), final_token="period")
    period.setup("test")
    assert {text[-1] for text in period.texts} == {13}
    assert sum(len(a) != len(b) for a, b in zip(data.texts, period.texts, strict=True)) == 162


@pytest.mark.shared
def test_the_published_responses_through_the_command_line(tmp_path: Path) -> None:
    """A random embedding scores about 0.013 on its own as the sentences are given, and exactly 0 with a period."""
    shape = GPTConfig(n_layer=1, n_head=1, n_embd=64)
    weights = checkpoint(tmp_path / "random.safetensors", shape, "gpt2")
    options = ("--data.localizer_folder", str(SHARED / "langloc"))
    given, table = evaluate(weights, SHARED / "tuckute2024", tmp_path / "given", *options)
    assert len(table) == 1000
    assert given["r_layer_0"]["value"] == pytest.approx(0.013, abs=0.06)
    assert given["r_layer_0"]["baselines"]["tokens"] == pytest.approx(0.2178, abs=1e-4)
    assert {"localised_1pct", "localised_10pct"} <= set(given)
    period, _ = evaluate(weights, SHARED / "tuckute2024", tmp_path / "period", "--data.final_token", "period")
    assert period["r_layer_0"]["value"] == 0
