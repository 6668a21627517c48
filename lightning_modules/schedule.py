"""The learning rate as a pure function of the step, so that it has no state to save or to reset."""

__all__ = ["learning_rate_factor"]


def learning_rate_factor(step: int, *, period: int, warmup: int, decay: int) -> float:
    """Factor of the peak learning rate: linear warm-up, hold, linear decay to zero; then from the beginning.

    With s = step mod period: (s + 1) / warmup for s < warmup; (period - s) / decay for s >= period - decay; else 1
    (Kotar & Tuckute 2025, section 2.1.3: period 7,000, warm-up 250, decay 1,750; inner loop: period 2,000, no hold).

    Plain Python numbers only: a numpy scalar would make a checkpoint unreadable under `weights_only`.

    Args:
        step: optimizer steps done since generation 0 began.
        period: optimizer steps of a generation.
        warmup: optimizer steps of the warm-up.
        decay: optimizer steps of the decay.
    """
    s = step % period
    if s < warmup:
        return (s + 1) / warmup
    return min(1.0, (period - s) / decay)
