"""How the models that are compared are called and coloured, in every figure and table."""

from typing import NamedTuple

__all__ = ["ARMS", "UPPER_BOUND", "Arm", "generation_colour"]


class Arm(NamedTuple):
    """One of the models that are compared.

    Args:
        label: what a legend calls it.
        colour: hexadecimal, from the palette of Okabe & Ito (2008), which colour-blind readers tell apart.
        marker: of its points, so that print without colour still tells them apart.
    """

    label: str
    colour: str
    marker: str


ARMS = {  # by the name that a run is given, in the order of legends and tables
    "Connectome": Arm("Connectome", "#0072B2", "o"),
    "NoConnectome": Arm("No connectome (dense)", "#E69F00", "s"),
    "RandomConnectome": Arm("Random connectome", "#009E73", "^"),
}
UPPER_BOUND = Arm("Dense on the large corpus", "#000000", "")  # generation 0 of the outer loop

_EARLIEST, _LATEST = (0.78, 0.88, 0.95), (0.0, 0.27, 0.44)  # a pale and a dark shade of the connectome's blue


def generation_colour(generation: int, count: int) -> tuple[float, float, float]:
    """Shade of a generation among `count`, from pale to dark: an order, which hues would not show."""
    share = generation / max(1, count - 1)
    red, green, blue = (early + share * (late - early) for early, late in zip(_EARLIEST, _LATEST, strict=True))
    return red, green, blue
