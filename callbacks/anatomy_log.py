"""The anatomy of a connectome in TensorBoard: scalars, histograms of degrees, and pictures of a few matrices."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from connectome import Connectome
from connectome.anatomy import degrees
from connectome.picture import picture

__all__ = ["log_histograms_and_pictures"]

PICTURES = 4  # the first matrices: of a GPT the embedding and those of the first layer, without its last


@rank_zero_only
def log_histograms_and_pictures(loggers: Iterable[Any], connectome: Connectome, step: int) -> None:
    """Write what is no scalar to those of the loggers that are TensorBoard's, in the run that is open.

    Args:
        loggers: of the trainer.
        connectome: what is drawn.
        step: optimizer steps since generation 0 began, at which a resumed run can cut it off again.
    """
    writers = [logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)]
    for number, (name, matrix) in enumerate(connectome.matrices.items() if writers else ()):
        incoming, outgoing = degrees(matrix)
        for writer in writers:
            writer.add_histogram(f"connectome/in_degree/{name}", incoming, step)
            writer.add_histogram(f"connectome/out_degree/{name}", outgoing, step)
            if number < PICTURES:
                writer.add_image(f"connectome/{name}", picture(matrix), step)
