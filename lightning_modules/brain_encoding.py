"""Alignment with brain responses to sentences, as its own test loop (Kotar & Tuckute 2025, Figure 1D)."""

from collections.abc import Mapping, Sequence

import numpy as np

from datamodules.tuckute2024 import Tuckute2024
from lightning_modules.encoding_model import Encoded, EncodingModel, folds_of
from lightning_modules.evaluation import Items
from lightning_modules.fold_correlation import fold_correlation, resampled_fold_correlation
from lightning_modules.localized_units import SHARES, contrast, random_units, top_units
from lightning_modules.metric import Metric
from lightning_modules.noise_ceiling import Ceiling, noise_ceiling
from lightning_modules.sentence_states import SentenceStates

__all__ = ["BrainEncoding"]

PERMUTATIONS = 20  # of the responses; the largest r of twenty is close to the 95 % point of chance
DRAWS = 5  # of random units
OVER_ITEMS = "bootstrap over items within folds, percentiles of 10,000 resamples, regressions not refitted"


class BrainEncoding(SentenceStates):
    """Correlation of measured responses with those that ridge regression predicts from a layer's activations.

    For each layer, Pearson's r in five folds, averaged; the best layer, which is chosen on the same data and so looks
    too good, and a layer chosen anew in the training part of each fold by leave-one-out error, which does not. Beside
    them: the same regression on the sentences' length and on shuffled responses, and the noise ceiling.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.
    """

    @property
    def data(self) -> Tuckute2024:
        """The sentences and the responses."""
        return self.trainer.datamodule

    def assemble(self, collected: Items) -> Items:
        """A row a sentence; activations are kept aside."""
        responses = self.data.responses
        self.states = collected["states"]  # (sentences + stimuli of the localizer, layers + 1, width)
        return {
            "item": np.arange(len(responses)),
            "item_id": np.array(responses.item_id),
            "sentence": np.array(responses.sentences),
            "response": responses.mean,
            "fold": folds_of(len(responses)),
        }

    def metrics(self, items: Items) -> list[Metric]:
        """Layers, the best and the nested one, the ceiling and what share of it is reached; then localized units."""
        n = len(items["item"])
        self.regress = EncodingModel(self.protocol)
        rng = np.random.default_rng(0)
        shuffled = [rng.permutation(items["response"]) for _ in range(PERMUTATIONS)]
        self.targets = np.column_stack([items["response"], *shuffled])
        lengths = {
            "tokens": [len(text) for text in self.data.texts[:n]],
            "characters": [len(sentence) for sentence in self.data.responses.sentences],
        }
        baselines = {
            name: self._r(self.regress(np.array(values)[:, None], self.targets[:, :1]), items)[0]
            for name, values in lengths.items()
        }
        layers = [self.regress(self.states[:n, layer], self.targets) for layer in range(self.states.shape[1])]
        results = self._scores(
            {f"r_layer_{layer}": (f"prediction_layer_{layer}", encoded) for layer, encoded in enumerate(layers)},
            items,
            baselines,
        )
        best = int(np.argmax([metric.value for metric in results]))
        chosen = np.argmin([encoded.error for encoded in layers], axis=0)  # a layer for each fold
        items["prediction_nested_layer"] = np.stack([encoded.prediction[:, 0] for encoded in layers])[
            chosen[items["fold"]], items["item"]
        ]
        items["prediction_best_layer"] = layers[best].prediction[:, 0]
        names = ("r_best_layer", "r_nested_layer")
        columns = {name: f"prediction_{name[2:]}" for name in names}
        summary = self._metrics(columns, items, dict.fromkeys(names, baselines))
        ceiling, how = self._ceiling()
        results += [*summary, Metric("best_layer", best, n)]
        if ceiling is not None:
            results += self._of_ceiling(ceiling, how, summary, n)
        if self.data.is_sentence:
            results += self._localized(items, baselines)
        self._remark(layers, chosen.tolist(), how)
        del self.states
        return results

    def _ceiling(self) -> tuple[Ceiling | None, str]:
        people = self.data.responses.by_participant
        if people is not None:
            return noise_ceiling(people), "computed from the participants, standard deviation over resamples of items"
        if self.data.published_ceiling is None:
            return None, "unknown: responses of single participants are needed"
        return Ceiling(self.data.published_ceiling, None), "published, not recomputed: only means over participants"

    def _of_ceiling(self, ceiling: Ceiling, how: str, scores: Sequence[Metric], n: int) -> list[Metric]:
        results = [Metric("noise_ceiling", ceiling.value, n, stderr=ceiling.stderr, ci_method=how)]
        for metric in scores:
            if ceiling.value > 0 and metric.ci95 is not None:
                low, high = (end / ceiling.value for end in metric.ci95)
                name = metric.name.replace("r_", "ceiling_fraction_", 1)
                value = metric.value / ceiling.value
                results.append(Metric(name, value, n, ci95=(low, high), ci_method=f"{OVER_ITEMS}; ceiling fixed"))
        return results

    def _localized(self, items: Items, baselines: Mapping[str, float]) -> list[Metric]:
        """The same regression on the units that the localizer selects, and on as many random ones."""
        n = len(items["item"])
        units = self.states[:, 1:].reshape(len(self.states), -1)  # layer by layer; the embedding is not among them
        t = contrast(units[n:], np.array(self.data.is_sentence), self.data.localizer_activation).t
        results = []
        for name, share in SHARES.items():
            selected = top_units(t, share)
            drawn = [random_units(len(t), len(selected), seed) for seed in range(DRAWS)]
            controls = [self._r(self.regress(units[:n, unit], self.targets[:, :1]), items)[0] for unit in drawn]
            encoded = self.regress(units[:n, selected], self.targets)
            mean, spread = float(np.mean(controls)), float(np.std(controls, ddof=1))
            column = f"prediction_localised_{name}"
            results += self._scores(
                {f"localised_{name}": (column, encoded)}, items, {**baselines, "random_units": mean}
            )
            how = f"stderr: standard deviation over {DRAWS} draws of {len(selected)} units"
            results.append(Metric(f"random_units_{name}", mean, n, stderr=spread, ci_method=how))
        return results

    def _scores(
        self, encoded: Mapping[str, tuple[str, Encoded]], items: Items, baselines: Mapping[str, float]
    ) -> list[Metric]:
        """Metrics of predictions, which become columns; shuffled targets show what chance makes of them."""
        chance = {}
        for name, (column, one) in encoded.items():
            items[column] = one.prediction[:, 0]
            shuffled = self._r(one, items)[1:]
            chance[name] = {"shuffled": float(shuffled.mean()), "shuffled_largest": float(shuffled.max())}
        return self._metrics(
            {name: column for name, (column, _) in encoded.items()},
            items,
            {name: {**baselines, **chance[name]} for name in encoded},
        )

    def _metrics(
        self,
        columns: Mapping[str, str],
        items: Items,
        baselines: Mapping[str, Mapping[str, float]] | None = None,
    ) -> list[Metric]:
        """Mean r over folds of columns of predictions, with intervals."""
        x = np.column_stack([items[column] for column in columns.values()])
        values = fold_correlation(x, items["response"][:, None], items["fold"])
        resampled = resampled_fold_correlation(x, items["response"], items["fold"])
        ends = np.percentile(resampled, [2.5, 97.5], axis=0).T
        return [
            Metric(
                name,
                float(value),
                len(x),
                float(stderr),
                (float(low), float(high)),
                OVER_ITEMS,
                (baselines or {}).get(name, {}),
                {"kind": "pearson_by_fold", "x": column, "y": "response", "fold": "fold"},
            )
            for (name, column), value, stderr, (low, high) in zip(
                columns.items(), values, resampled.std(axis=0), ends, strict=True
            )
        ]

    def _r(self, encoded: Encoded, items: Items) -> np.ndarray:
        """Of each target, shape `(targets,)`."""
        return fold_correlation(encoded.prediction, self.targets[:, : encoded.prediction.shape[1]], items["fold"])

    def _remark(self, layers: Sequence[Encoded], chosen: Sequence[int], how: str) -> None:
        self.remarks.append(f"noise ceiling: {how}")
        self.remarks.append(
            "r_best_layer is chosen on the sentences it is scored on; r_nested_layer is not: layers "
            f"{', '.join(map(str, chosen))} in the five folds"
        )
        if border := [number for number, encoded in enumerate(layers) if encoded.at_border]:
            self.remarks.append(
                f"the penalty chosen is the smallest or largest of all in a fold of layer {', '.join(map(str, border))}"
                ": nothing there predicts the responses, or the range of penalties is too narrow"
            )
