"""What Kotar & Tuckute (2025) show, so that it can stand beside our own.

Read off their figures; curves are exact to about 0.001. Intervals are standard errors over four seeds. Models of 124M
weights (31M exist), trained on FineWeb with GPT-2's tokens for 2,000 optimizer steps. The appendix gives no numbers for
10 % of the units.
"""

from figures.shown import Shown

__all__ = ["PAPER_STEPS", "paper_values"]

PAPER_STEPS = 2000
SPREAD = "standard error over 4 seeds"
SEEDS = 4
UPPER_BOUND = "upper_bound"

_LOSS = {  # Figure 1B i: nats per token by optimizer step
    "Connectome": {250: 4.79, 500: 3.965, 1000: 3.665, 2000: 3.585},
    "NoConnectome": {250: 5.26, 500: 4.34, 1000: 3.965, 2000: 3.895},
    "RandomConnectome": {500: 5.93, 1000: 5.59, 2000: 5.43},
}
_DENSE_LOSS = 3.39  # its dotted line: 124M, dense, on the large corpus
_READING_TIMES = {  # Figure 1C: Pearson's r by optimizer step
    "Connectome": {0: 0.360, 300: 0.380, 2000: 0.340},
    "NoConnectome": {0: 0.348, 400: 0.375, 2000: 0.3435},
    "RandomConnectome": {0: 0.340, 700: 0.376, 2000: 0.376},
}
_LAYERS = (0, 1, 2, 4, 6, 8, 9, 10, 11, 12)
_BRAIN = {  # Figure 1D: Pearson's r by layer
    "Connectome": (0.0, 0.218, 0.257, 0.280, 0.279, 0.297, 0.314, 0.316, 0.304, 0.293),
    "NoConnectome": (0.0, 0.200, 0.225, 0.254, 0.257, 0.280, 0.285, 0.286, 0.288, 0.288),
    "RandomConnectome": (0.0, 0.152, 0.175, 0.176, 0.185, 0.208, 0.218, 0.223, 0.225, 0.227),
}
_ONE_FIGURE = {  # a value and its standard error
    "hellaswag": {  # Figure 1B ii; the metric is not named, sums of log-probabilities are likely
        "Connectome": (0.276364, 0.000834),
        "NoConnectome": (0.269095, 0.001100),
        "RandomConnectome": (0.257369, 0.000884),
    },
    "mmlu": {
        "Connectome": (0.246813, 0.000781),
        "NoConnectome": (0.241187, 0.000791),
        "RandomConnectome": (0.234582, 0.000803),
    },
    "localised_1pct": {  # Figure 1D: 92 of 9,216 units
        "Connectome": (0.235, 0.015),
        "NoConnectome": (0.228, 0.009),
        "RandomConnectome": (0.164, 0.008),
    },
}
_CURVES = {
    "loss_over_training": _LOSS,
    "reading_times": _READING_TIMES,
    "brain_by_layer": {arm: dict(zip(_LAYERS, values, strict=True)) for arm, values in _BRAIN.items()},
}
OVER_STEPS = ("loss_over_training", "reading_times")


def paper_values(panel: str, *, steps: int = PAPER_STEPS) -> list[Shown]:
    """The authors' points of a panel; none where they give none.

    Args:
        panel: name of the panel.
        steps: of the runs that they stand beside; the authors' 2,000 are stretched or shrunk to as many.
    """
    scale = steps / PAPER_STEPS if panel in OVER_STEPS else 1
    rows = [
        Shown(arm, "paper", x * scale, y, seeds=SEEDS)
        for arm, points in _CURVES.get(panel, {}).items()
        for x, y in points.items()
    ]
    rows += [
        Shown(arm, "paper", 0, y, y - error, y + error, SPREAD, SEEDS)
        for arm, (y, error) in _ONE_FIGURE.get(panel, {}).items()
    ]
    if panel == "loss_over_training":
        rows.append(Shown(UPPER_BOUND, "paper", steps, _DENSE_LOSS))
    return rows
