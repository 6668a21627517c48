"""Alignment with human reading times, as its own test loop (Kotar & Tuckute 2025, Figure 1C and Appendix A.2)."""

from collections.abc import Mapping
from math import log, sqrt

import numpy as np
import torch

from datamodules.natural_stories import NaturalStories
from datamodules.scoring_batches import ScoringBatch
from lightning_modules.evaluation import Evaluation, Items
from lightning_modules.metric import Metric
from lightning_modules.reading_reliability import reliability_from_errors, split_half_reliability
from lightning_modules.scorer import token_log_probabilities
from lightning_modules.story_statistics import (
    Estimate,
    correlation,
    explained_variance_gain,
    held_out_gain,
    mean,
    partial_correlation,
)
from lightning_modules.word_surprisal import word_surprisal

__all__ = ["ReadingTimesCorrelation", "with_two_before"]

STORIES = "bootstrap over stories, percentiles of 10,000 resamples"


class ReadingTimesCorrelation(Evaluation):
    """Correlation of each word's surprisal with the mean time people took to read it.

    Both protocols give Pearson's r with the mean time and with the mean log time. `corrected` adds what surprisal
    explains beyond other properties of the words: the partial r given length, rarity and number of tokens, and the
    gain in held-out log-likelihood and in R^2 over length and rarity of the word and the two before it. Intervals are
    from drawing stories.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.
    """

    @property
    def data(self) -> NaturalStories:
        """The stories."""
        return self.trainer.datamodule

    def test_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        """Surprisal of every token in the batch, by its number over all stories."""
        masked = self.data.vocabulary if self.protocol == "corrected" else None
        log_probability, _ = token_log_probabilities(self.net, batch, masked)
        if not torch.isfinite(log_probability).all():
            raise RuntimeError(
                f"{self.checkpoint} gives log-probabilities that are not finite: its weights are damaged"
            )
        requests = batch.requests.cpu().numpy()  # the tokens of a request stand together, in their order
        _, start, which = np.unique(requests, return_index=True, return_inverse=True)
        first = np.array([window.first for window in self.data.windows])
        tokens = first[requests] + np.arange(len(requests)) - start[which]
        self.collect({"item": tokens, "nats": -log_probability.double()})

    def assemble(self, collected: Items) -> Items:
        """A row a word; NaN where a model or the readers have not said anything about it."""
        data, times = self.data, self.data.times
        nats = np.full(len(data.word_of_token), np.nan)
        nats[collected["item"]] = collected["nats"]
        surprisal, scored = word_surprisal(nats, data.word_of_token, len(times))
        read = np.isfinite(times.mean) & ~((times.first | times.last) & data.drop_edges)
        unknown = np.full(len(times), np.nan)
        return {
            "item": np.arange(len(times)),
            "story": times.story,
            "position": times.position,
            "word": np.array(times.words),
            "surprisal": surprisal,
            "reading_time": np.where(read, times.mean, np.nan),
            "log_reading_time": np.where(read, times.mean_log, np.nan),
            "length": np.array([len(word) for word in times.words], dtype=float),
            "rarity": unknown if data.rarity is None else data.rarity,
            "tokens": np.bincount(data.word_of_token, minlength=len(times)).astype(float),
            "scored_tokens": scored.astype(float),
            "gpt3": unknown if data.gpt3 is None else data.gpt3,
        }

    def metrics(self, items: Items) -> list[Metric]:
        """Correlations; in `corrected` also what surprisal adds; and how reliable the times are."""
        results = [self._correlation("r", items, "reading_time"), self._correlation("r_log", items, "log_reading_time")]
        if self.protocol == "corrected":
            results += [self._partial(items), *self._added(items)]
        reliability = self._reliability(items)
        self._remark(items, results[0], reliability)
        return [*results, reliability]

    def _correlation(self, name: str, items: Items, y: str) -> Metric:
        kept = _known(items, "surprisal", y)
        estimate = correlation(items["surprisal"][kept], items[y][kept], items["story"][kept])
        if np.isnan(estimate.value):
            raise RuntimeError(f"all words have the same surprisal, or the same {y}: there is no correlation")
        predictors = {
            "tokens": items["tokens"],
            "length": items["length"],
            "rarity": items["rarity"],
            "uniform": items["scored_tokens"] * log(self.config.vocab_size),
            "gpt3": items["gpt3"],
        }
        baselines = {}
        for predictor, x in predictors.items():  # in the same words, but for the few without a frequency
            known = kept & np.isfinite(x)
            if known.any() and np.ptp(x[known]) > 0:
                baselines[predictor] = float(np.corrcoef(x[known], items[y][known])[0, 1])
        statistic = {"kind": "pearson", "x": "surprisal", "y": y, "cluster": "story"}
        return _metric(name, estimate, kept, baselines, statistic)

    def _partial(self, items: Items) -> Metric:
        controls = [name for name in ("length", "rarity", "tokens") if np.isfinite(items[name]).any()]
        kept = _known(items, "surprisal", "reading_time", *controls)

        def partial(x: str) -> Estimate:
            known = kept & np.isfinite(items[x])
            given = np.column_stack([items[name][known] for name in controls])
            return partial_correlation(items[x][known], items["reading_time"][known], given, items["story"][known])

        baselines = {"gpt3": partial("gpt3").value} if np.isfinite(items["gpt3"]).any() else {}
        statistic = {"kind": "partial_pearson", "x": "surprisal", "y": "reading_time", "given": controls}
        return _metric("partial_r", partial("surprisal"), kept, baselines, {**statistic, "cluster": "story"})

    def _added(self, items: Items) -> list[Metric]:
        """What surprisal of the word and the two before it adds to a regression; reading spills over."""
        controls = [name for name in ("length", "rarity") if np.isfinite(items[name]).any()]
        base = np.column_stack([with_two_before(items[name], items["story"]) for name in controls])
        y, story = items["reading_time"], items["story"]

        def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
            added = with_two_before(items[name], story)
            return added, np.isfinite(y) & np.isfinite(base).all(axis=1) & np.isfinite(added).all(axis=1)

        def gain(name: str) -> np.ndarray:
            added, kept = columns(name)
            gains = np.full(len(y), np.nan)
            gains[kept] = held_out_gain(base[kept], added[kept], y[kept], story[kept])
            return gains

        others = [name for name in ("tokens", "gpt3") if np.isfinite(items[name]).any()]
        added, kept = columns("surprisal")
        items["loglik_gain"] = gain("surprisal")
        return [
            _metric(
                "delta_loglik_per_word",
                mean(items["loglik_gain"][kept], story[kept]),
                kept,
                {name: float(np.nanmean(gain(name))) for name in others},
                {"kind": "cluster_mean", "column": "loglik_gain", "cluster": "story"},
            ),
            _metric(
                "delta_r2",
                explained_variance_gain(base[kept], added[kept], y[kept], story[kept]),
                kept,
                {
                    name: explained_variance_gain(base[known], more[known], y[known], story[known]).value
                    for name, (more, known) in ((name, columns(name)) for name in others)
                },
                {},
            ),
        ]

    def _reliability(self, items: Items) -> Metric:
        """The ceiling; its square root is what a perfect predictor of the true means would reach as r."""
        times = self.data.times
        kept = _known(items, "surprisal", "reading_time")
        if times.times is not None:
            value, name = split_half_reliability(times.times[kept]), "reliability_split_half"
        else:
            value, name = reliability_from_errors(times, kept), "reliability_from_errors"
        return Metric(name, value, int(kept.sum()))

    def _remark(self, items: Items, r: Metric, reliability: Metric) -> None:
        data = self.data
        kept = _known(items, "surprisal", "reading_time")
        self.remarks.append(
            f"The number of tokens alone gives r = {r.baselines['tokens']:.3f} in these {r.n:,} words"
            if "tokens" in r.baselines
            else "Every word is one token here."
        )
        if "uniform" in r.baselines:
            self.remarks[-1] += f", a model that finds all tokens equally likely {r.baselines['uniform']:.3f}."
        neighbours = with_two_before(items["length"], items["story"])
        after = np.append(items["length"][1:], np.nan)
        after[data.times.last] = np.nan
        before_r, after_r = (
            np.corrcoef(x[known], items["reading_time"][known])[0, 1]
            for x, known in ((x, kept & np.isfinite(x)) for x in (neighbours[:, 1], after))
        )
        verdict = "one word early" if after_r > before_r else "at their words"
        self.remarks.append(
            f"Times: release {data.release}, {data.alignment}. The length of the word before predicts them at "
            f"{before_r:.3f}, that of the next word at {after_r:.3f}: they seem to be {verdict}."
        )
        how = "halves of the readers" if data.times.times is not None else "their standard errors"
        self.remarks.append(
            f"Reliability of the times is {reliability.value:.3f} by {how}: a perfect predictor would reach "
            f"r = {sqrt(max(0.0, reliability.value)):.3f}."
        )
        if data.rarity is None:
            self.remarks.append("Without freqs-1.tsv in the folder, the frequency of words is not controlled for.")


def _metric(
    name: str, estimate: Estimate, kept: np.ndarray, baselines: Mapping[str, float], statistic: Mapping[str, object]
) -> Metric:
    method = STORIES if estimate.ci95 else ""
    return Metric(name, estimate.value, int(kept.sum()), estimate.stderr, estimate.ci95, method, baselines, statistic)


def _known(items: Items, *names: str) -> np.ndarray:
    return np.logical_and.reduce([np.isfinite(items[name]) for name in names])


def with_two_before(values: np.ndarray, story: np.ndarray) -> np.ndarray:
    """A property of each word and of the two before it, NaN beyond a story's beginning, shape `(words, 3)`."""
    columns = [values]
    for distance in (1, 2):
        earlier = np.full(len(values), np.nan)
        same = story[distance:] == story[:-distance]
        earlier[distance:][same] = values[:-distance][same]
        columns.append(earlier)
    return np.column_stack(columns)
