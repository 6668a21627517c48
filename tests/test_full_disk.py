"""A disk that fills up while a run saves: what was there stays, and the run says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from callbacks.run_folder import RunFolder
from tests.same_run import assert_same_curves, assert_same_run

Run = Callable[..., int]
FULL = Path("/dev/full")  # whatever is written there does not fit

pytestmark = pytest.mark.skipif(not FULL.is_char_device(), reason="needs /dev/full")


@pytest.mark.parametrize(
    ("file", "older"),
    [
        ("checkpoints/step_00000003.ckpt", None),
        ("checkpoints/step_00000009.ckpt", 6),
        ("connectomes/generation_1.connectome", 9),
        ("generations/1.safetensors", 12),
    ],
)
def test_a_full_disk_ends_the_run_with_a_message_and_keeps_what_is_there(
    outer: Run,
    straight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    older: int | None,
) -> None:
    if older is not None:
        assert outer(tmp_path, "--generation", "0") == 0
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(RunFolder, "remove_partial_checkpoints", lambda self: None)
    path.with_name(f".{path.name}.partial").symlink_to(FULL)  # where it is written before it gets its name
    assert outer(tmp_path) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: could not write ")
    assert path.name in message
    assert "No space left on device" in message
    assert "start" in message
    assert max(RunFolder(tmp_path).checkpoints(), default=None) == older
    assert not path.exists()
    assert outer(tmp_path) == 0
    assert_same_run(straight, tmp_path)
    assert_same_curves(straight, tmp_path)
