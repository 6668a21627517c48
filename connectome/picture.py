"""A ternary matrix as a picture."""

import torch
from torch import Tensor

from connectome.anatomy import degrees

__all__ = ["picture"]

EXCITATORY, INHIBITORY = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0)  # blue and vermilion of Okabe & Ito (2008)


def picture(matrix: Tensor, *, most: int = 256, ordered: bool = False) -> Tensor:
    """Red, green and blue of shape `(3, height, width)`, 0 to 1: white where nothing is, darker where more is.

    Blocks of weights become one pixel where the matrix is larger than the picture.

    Args:
        matrix: of -1, 0 and 1.
        most: pixels in height and width.
        ordered: rows and columns from the highest degree to the lowest, in place of their own order.
    """
    if ordered:
        incoming, outgoing = degrees(matrix)
        matrix = matrix[incoming.argsort(descending=True, stable=True)]
        matrix = matrix[:, outgoing.argsort(descending=True, stable=True)]
    size = (min(most, matrix.shape[0]), min(most, matrix.shape[1]))
    absorbed = torch.zeros(3, *size)
    for sign, colour in ((1, EXCITATORY), (-1, INHIBITORY)):
        share = torch.nn.functional.adaptive_avg_pool2d((matrix == sign).to(torch.float32)[None], size)
        absorbed += share * (1 - torch.tensor(colour))[:, None, None]
    return 1 - absorbed
