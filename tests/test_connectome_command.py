"""`python cli.py connectome`: what it prints, writes and draws, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import cli
from callbacks.run_folder import RunFolder
from connectome import Connectome, Provenance, load_connectome, save_connectome
from datamodules.token_shards import write_shard
from figures.anatomy import pages, token_counts
from figures.anatomy_panels import overlap_of_seeds, survival_over_generations


@pytest.fixture(scope="module")
def file(straight: Path) -> str:
    """What the last generation of the toy outer loop left."""
    return str(RunFolder(straight).connectome(2))


def pair(one: list[int], two: list[int]) -> tuple[Connectome, Connectome]:
    first, second = (
        Connectome({"a": torch.tensor([values], dtype=torch.int8)}, provenance=Provenance(number, number))
        for number, values in enumerate((one, two))
    )
    return first, second


def test_info_says_what_a_connectome_is(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["connectome", "info", file, "--tokens", "3456"]) == 0
    text = capsys.readouterr().out
    connectome = load_connectome(file)
    size = Path(file).stat().st_size
    for words in (
        "n_layer: 2",
        "generation: 2",
        f"weights: {connectome.n_kept:,} of {connectome.n_weights:,} exist",
        f"file: {size:,} bytes; its weights in 16 bits each: {2 * connectome.n_weights:,} bytes",
        "in 16 bits each: 6,912 bytes",
        "bits a weight; Shannon's bound for independent ones 1.",
        "dead heads: 0",
        "transformer.wte.weight",
    ):
        assert words in text


def test_diff_says_what_two_have_in_common(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, connectome in zip("ab", pair([1, 1, -1, 0], [1, -1, 0, 0]), strict=True):
        save_connectome(connectome, tmp_path / name)
    assert cli.main(["connectome", "diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    text = capsys.readouterr().out
    assert "in both: 2; by chance 2" in text
    assert "Jaccard: 0.6667" in text
    assert "same sign, of those in both: 50.00 %" in text


def test_diff_refuses_another_architecture(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_connectome(pair([1], [1])[0], tmp_path / "other")
    assert cli.main(["connectome", "diff", file, str(tmp_path / "other")]) == 1
    assert "another architecture" in capsys.readouterr().err


def test_random_writes_a_matched_control(file: str, tmp_path: Path) -> None:
    assert cli.main(["connectome", "random", file, str(tmp_path / "control"), "--seed", "3"]) == 0
    control, expected = load_connectome(tmp_path / "control"), load_connectome(file).random_like(3)
    assert all(torch.equal(control.matrices[name], matrix) for name, matrix in expected.matrices.items())
    assert control.provenance == expected.provenance


def test_graft_takes_a_part_from_another(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control, grafted = str(tmp_path / "control"), str(tmp_path / "grafted")
    assert cli.main(["connectome", "random", file, control]) == 0
    assert cli.main(["connectome", "graft", file, control, "wte", grafted]) == 0
    mine, theirs, found = map(load_connectome, (file, control, grafted))
    for name, matrix in found.matrices.items():
        assert torch.equal(matrix, (theirs if name == "transformer.wte.weight" else mine).matrices[name])
        assert not torch.equal(mine.matrices[name], theirs.matrices[name])
    assert found.provenance.generation is None
    assert found.provenance.note == (
        "wte from random control matched per matrix to generation 2 of seed 0, the rest from generation 2 of seed 0"
    )


@pytest.mark.parametrize(
    ("part", "said"),
    [("embedding", "no matrix has 'embedding' in its name"), ("", "every matrix has ''"), ("weight", "every matrix")],
)
def test_a_graft_takes_some_matrices(
    file: str, part: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["connectome", "graft", file, file, part, str(tmp_path / "grafted")]) == 1
    assert said in capsys.readouterr().err


def test_a_graft_across_tokenizers_or_architectures_is_refused(file: str) -> None:
    mine = load_connectome(file)
    foreign = Connectome(mine.matrices, mine.architecture, replace(mine.provenance, tokenizer="another"))
    with pytest.raises(ValueError, match="of another tokenizer: another, not"):
        mine.graft(foreign, "wte")
    with pytest.raises(ValueError, match="of another architecture"):
        mine.graft(Connectome(mine.matrices, {"n_head": 99}, mine.provenance), "wte")


def test_pack_writes_the_same_connectome(file: str, tmp_path: Path) -> None:
    assert cli.main(["connectome", "pack", file, str(tmp_path / "small")]) == 0
    assert (tmp_path / "small").stat().st_size <= Path(file).stat().st_size
    packed, original = load_connectome(tmp_path / "small"), load_connectome(file)
    assert all(torch.equal(packed.matrices[name], matrix) for name, matrix in original.matrices.items())


def test_a_damaged_file_is_one_message(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "damaged").write_bytes(Path(file).read_bytes()[:-5])
    assert cli.main(["connectome", "info", str(tmp_path / "damaged")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_plot_draws_every_page(straight: Path, shards: Path, tmp_path: Path) -> None:
    files = [str(RunFolder(straight).connectome(generation)) for generation in range(3)]
    assert cli.main(["connectome", "plot", *files, "--out", str(tmp_path), "--data", str(shards)]) == 0
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"wiring", "degrees", "spread", "excitation", "heads", "embedding", "survival"}


def test_another_seed_adds_the_overlap(file: str) -> None:
    evolved = load_connectome(file)
    other = Connectome(evolved.matrices, evolved.architecture, Provenance(evolved.provenance.generation, 99))
    assert "seeds" in pages([other, evolved], None, seed=0)
    assert not {"seeds", "survival", "embedding"} & pages([evolved], None, seed=0).keys()


def test_token_counts_refuse_another_tokenizer(file: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "large" / "0.bin", [1, 1, 5])
    assert token_counts(str(tmp_path), "large", load_connectome(file)).tolist() == [0, 2, 0, 0, 0, 1] + 58 * [0]
    write_shard(tmp_path / "large" / "1.bin", [64])
    with pytest.raises(ValueError, match="of another tokenizer"):
        token_counts(str(tmp_path), "large", load_connectome(file))


def test_the_panel_of_survival_shows_shares_in_percent() -> None:
    first, second = pair([1, 1, -1, -1], [1, -1, 0, -1])
    ax = survival_over_generations([first, second], Figure().add_subplot())
    assert np.allclose(ax.get_lines()[0].get_ydata(), [100, 50])
    assert np.allclose(ax.get_lines()[-1].get_ydata(), [100, 75])


def test_the_panel_of_overlap_shows_chance_beside_it() -> None:
    one, two = pair([1, 1, 0, 0], [1, 0, -1, 0])
    jaccard, chance = overlap_of_seeds(one, two, Figure().add_subplot()).get_lines()[:2]
    assert np.allclose([jaccard.get_ydata(), chance.get_ydata()], 100 / 3)
