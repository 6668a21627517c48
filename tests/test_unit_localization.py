"""The localizer through the command line writes masks of exactly the units that encoding then uses."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from small_brain import write_localizer

import cli
from datamodules.language_localizer import LanguageLocalizer
from datamodules.localizer_stimuli import read_localizer
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.localized_units import contrast
from lightning_modules.weights import write_weights

BYTES = GPTConfig(vocab_size=320, n_layer=3, n_head=2, n_embd=40, block_size=16)


def localize(out: Path, *options: str) -> Path:
    """The folder of results."""
    torch.manual_seed(0)
    write_weights(out / "model.safetensors", GPT(BYTES), {"tokenizer": "bytes", "step": 7})
    stimuli = write_localizer(out / "langloc")
    line = ["test", "language_localizer", "--model.checkpoint", str(out / "model.safetensors")]
    line += ["--data.folder", str(stimuli), "--files.out", str(out), "--trainer.accelerator", "cpu", *options]
    assert cli.main(line) == 0
    [records] = (out / "evaluations" / "language_localizer").rglob("*.jsonl")
    return records.parent


@pytest.mark.parametrize("activation", ["absolute", "signed"])
def test_masks_hold_the_largest_t(tmp_path: Path, activation: str) -> None:
    folder = localize(tmp_path, "--data.activation", activation)
    arrays = load_file(folder / "00000007.units.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(
        ("t", "p_adjusted", "top_1pct", "top_10pct"), (3, 40)
    )
    assert (arrays["top_1pct"].sum(), arrays["top_10pct"].sum()) == (1, 12)
    assert arrays["t"][arrays["top_10pct"]].min() >= arrays["t"][~arrays["top_10pct"]].max()
    net = GPT(BYTES)
    torch.manual_seed(0)
    net = GPT(BYTES)
    stimuli = read_localizer(tmp_path / "langloc")
    last = []
    for text in stimuli.texts:
        x = torch.tensor([list(text.encode()[:12])])
        kept: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda *a, kept=kept: kept.append(a[2][0, -1])) for block in net.transformer.h
        ]
        net.hidden(x)
        last.append(torch.cat(kept).detach().numpy())
        for hook in hooks:
            hook.remove()
    expected = contrast(np.stack(last), np.array(stimuli.is_sentence), activation)  # type: ignore[arg-type]
    np.testing.assert_allclose(arrays["t"].ravel(), expected.t, rtol=1e-3, atol=1e-3)


def test_the_file_says_what_it_is_and_records_what_was_found(tmp_path: Path) -> None:
    folder = localize(tmp_path)
    with safe_open(folder / "00000007.units.safetensors", "numpy") as file:
        about = json.loads(file.metadata()["about"])
    assert (about["task"], about["protocol"], about["step"]) == ("language_localizer", "paper", 7)
    records = {r["metric"]: r for r in map(json.loads, (folder / "00000007.jsonl").read_text().splitlines())}
    assert (records["units_1pct"]["value"], records["units_10pct"]["value"]) == (1, 12)
    assert records["units_1pct"]["window"] == 12
    assert records["share_dead"]["value"] == 0
    table = pq.read_table(folder / "00000007.parquet").to_pandas()
    assert table["is_sentence"].sum() == 24
    means = table.groupby("is_sentence")["activation_10pct"].mean()
    assert means[True] > means[False]


def test_corrected_reads_stimuli_to_their_end() -> None:
    assert LanguageLocalizer(protocol="corrected").tokens_read is None
    assert LanguageLocalizer(protocol="paper").tokens_read == 12
    assert LanguageLocalizer(activation="signed", final_norm=True).options() == {
        "activation": "signed",
        "final_norm": "true",
    }
