"""The folder of a run, the same for one long fit and for a chain of cluster tasks."""

import zipfile
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

__all__ = ["RunFolder"]


class RunFolder:
    """Where a run keeps what.

        config.yaml  run.lock  records.jsonl
        checkpoints/step_<s>.ckpt        everything needed to go on, the last few
        generations/<g>.safetensors      trained weights at the end of generation g: the last file that it writes
        final.safetensors                the same at the end of an inner run
        connectomes/generation_<g>.connectome
        snapshots/<s>.safetensors        weights only, at the steps asked for
        tensorboard/

    Args:
        root: the folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @classmethod
    def of(cls, checkpoint: str) -> "RunFolder | None":
        """The folder of the run that wrote a file, by its config.yaml; None for weights from elsewhere."""
        path = Path(checkpoint)
        folders = (path.parent, path.parent.parent) if path.is_file() else ()
        return next((cls(folder) for folder in folders if (folder / "config.yaml").is_file()), None)

    @property
    def records(self) -> Path:
        """Results, one JSON object a line."""
        return self.root / "records.jsonl"

    @property
    def final(self) -> Path:
        """Trained weights at the end of an inner run."""
        return self.root / "final.safetensors"

    def checkpoint(self, step: int) -> Path:
        """Full training state after `step` optimizer steps."""
        return self.root / "checkpoints" / f"step_{step:08d}.ckpt"

    def connectome(self, generation: int) -> Path:
        """What `generation` leaves to the next."""
        return self.root / "connectomes" / f"generation_{generation}.connectome"

    def kept(self, generation: int) -> Path:
        """Trained weights at the end of `generation`."""
        return self.root / "generations" / f"{generation}.safetensors"

    def snapshot(self, step: int) -> Path:
        """Weights only, after `step` optimizer steps, for evaluation along training."""
        return self.root / "snapshots" / f"{step:08d}.safetensors"

    def checkpoints(self) -> dict[int, Path]:
        """Checkpoints that are there, by step, the newest first."""
        files = (self.root / "checkpoints").glob("step_*.ckpt")
        found = {self.step_of(path): path for path in files if path.stem.removeprefix("step_").isdecimal()}
        return dict(sorted(found.items(), reverse=True))

    @property
    def begun(self) -> bool:
        """Whether a run has left anything here that it could not simply do again."""
        return any(
            any(self.root.glob(name)) for name in ("checkpoints/*.ckpt", "connectomes/*", "generations/*", "final.*")
        )

    @staticmethod
    def step_of(checkpoint: Path) -> int:
        """Optimizer steps done in a checkpoint, by its name."""
        return int(checkpoint.stem.removeprefix("step_"))

    def refuse_foreign_checkpoints(self) -> None:
        """Raise FileExistsError where a file lies that Lightning would load unasked, in place of ours, under SLURM."""
        foreign = sorted(self.root.glob("hpc_ckpt_*"))
        if foreign:
            raise FileExistsError(
                f"{foreign[0]} would silently win over the run's own checkpoints under SLURM: move it elsewhere"
            )

    def remove_partial_checkpoints(self) -> None:
        """Remove checkpoints whose writer was killed: at 124M 1.5 GB each, and of a step that may not come again."""
        for partial in (self.root / "checkpoints").glob(".step_*.partial"):
            partial.unlink()

    def newest_checkpoint(self, most: int | None = None) -> Path | None:
        """The newest undamaged checkpoint of at most `most` steps; None where there is none.

        Every byte is read once against the archive's checksums. A damaged file is warned about, and left.
        """
        for step, path in self.checkpoints().items():
            if most is not None and step > most:
                continue
            damage = _damage(path)
            if damage is None:
                return path
            rank_zero_warn(f"{path} is damaged ({damage}); the checkpoint before it is used")
        return None


def _damage(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # zipfile raises a dozen kinds, by where the damage is
        return str(error) or type(error).__name__
    return f"checksum of {broken}" if broken else None
