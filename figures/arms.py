"""How the models that are compared are called and coloured, in every figure and table."""

from typing import NamedTuple

__all__ = ["ARMS", "BASELINE", "OUTER_LOOP", "UPPER_BOUND", "Arm", "generation_colour", "size_line"]


class Arm(NamedTuple):
    """One of the models that are compared.

    Args:
        label: what a legend calls it.
        colour: hexadecimal, from the palette of Okabe & Ito (2008), which colour-blind readers tell apart.
        marker: of its points, so that print without colour still tells them apart.
        short: what an axis calls it.
    """

    label: str
    colour: str
    marker: str
    short: str


ARMS = {  # by the name that a run is given, in the order of legends and tables
    "Connectome": Arm("Connectome", "#0072B2", "o", "Connectome"),
    "NoConnectome": Arm("No connectome (dense)", "#E69F00", "s", "No\nconnectome"),
    "RandomConnectome": Arm("Random connectome", "#009E73", "^", "Random\nconnectome"),
}
UPPER_BOUND = Arm("Dense on the large corpus", "#000000", "", "Dense, large\ncorpus")  # generation 0 of the outer loop
OUTER_LOOP = Arm("Outer loop", "#0072B2", "o", "Outer\nloop")
BASELINE = Arm("Baseline", "#555555", "", "Baseline")  # what costs nothing

_EARLIEST, _LATEST = (0.78, 0.88, 0.95), (0.0, 0.27, 0.44)  # a pale and a dark shade of the connectome's blue
_LINES = ("-", "--", "-.", ":")


def generation_colour(generation: int, count: int) -> tuple[float, float, float]:
    """Shade of a generation among `count`, from pale to dark: an order, which hues would not show."""
    share = generation / max(1, count - 1)
    red, green, blue = (early + share * (late - early) for early, late in zip(_EARLIEST, _LATEST, strict=True))
    return red, green, blue


def size_line(number: int) -> str:
    """Line style of the models' sizes, counted from the first: whole, then broken ones."""
    return _LINES[number % len(_LINES)]
