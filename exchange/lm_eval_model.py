"""Our models for lm-evaluation-harness, scored by our own scorer.

    import lm_eval, exchange.lm_eval_model
    lm_eval.simple_evaluate(model="connectome", model_args="checkpoint=FILE", tasks=["hellaswag", "mmlu"])

Needs the optional extra `lm-eval`. Prompts, the border between context and continuation, and metrics are the harness's.
"""

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from datamodules.scoring_batches import Request
from datamodules.tokenizer import get_tokenizer
from lightning_modules.scorer import score_all
from lightning_modules.weights import read_weights

__all__ = ["ConnectomeLM"]

MAX_GENERATED = 256  # tokens, as the harness's own models


@register_model("connectome")
class ConnectomeLM(TemplateLM):
    """A GPT of this project as the harness asks for one.

    Args:
        checkpoint: as `--model.checkpoint`: a run's .ckpt or .safetensors, or a published model's folder or Hub name.
        tokenizer: `gpt2` or `bytes`, where the checkpoint does not say.
        device: where it runs; by default a GPU if there is one.
        token_budget: tokens of a batch.
        batch_size: what the harness passes on; batches are made by tokens here.
        max_batch_size: likewise.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        CheckpointError: if it is damaged, hostile or foreign.
        ValueError: if its tokenizer is not known, or another one than asked for.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        tokenizer: str | None = None,
        device: str | None = None,
        token_budget: int = 16_384,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        weights = read_weights(checkpoint)
        self.checkpoint = checkpoint
        self.encoding = get_tokenizer(weights.tokenizer(tokenizer))
        self.token_budget = int(token_budget)
        self.net = weights.network().eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @property
    def eot_token_id(self) -> int:
        """The end of text, which also stands for an empty context."""
        return self.encoding.eot_token

    @property
    def max_length(self) -> int:
        """Tokens of the model's context."""
        return self.net.config.block_size

    @property
    def tokenizer_name(self) -> str:
        """Part of the name under which the harness caches requests."""
        return self.encoding.name

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids of a text; an end of text written out in it is one token."""
        return self.encoding.encode(string, allowed_special="all")

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation in nats, and whether it is the greedy one."""
        asked = [Request(context, continuation) for _, context, continuation in requests]
        return score_all(self.net, asked, token_budget=self.token_budget)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts in nats, in windows of the model's context, every token once."""
        windows: list[tuple[None, list[int], list[int]]] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            rolling = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, rolling):
                windows.append((None, context, continuation))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, (nats, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[number] += nats
        return totals

    @torch.inference_mode()
    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The most probable token again and again, until a text of `until` comes, or `max_gen_toks` tokens are there.

        Raises:
            ValueError: if samples are asked for; export the model, and use the harness's model `hf`.
        """
        return [self._greedy(*request.args) for request in requests]

    def _greedy(self, context: str, options: dict[str, Any]) -> str:
        if options.get("do_sample") or options.get("temperature"):
            raise ValueError(
                "only the most probable text is generated here: leave out do_sample and temperature, or export the "
                "model with `python cli.py export` and use the harness's model `hf`"
            )
        until = options.get("until") or []
        stops = [until] if isinstance(until, str) else until
        tokens = self.tok_encode(context) or [self.eot_token_id]
        start, text = len(tokens), ""
        while len(tokens) - start < options.get("max_gen_toks", MAX_GENERATED):
            window = torch.tensor([tokens[-self.max_length :]], device=self.net.lm_head.weight.device)
            logits = self.net.lm_head(self.net.hidden(window)[0, -1])[: self.encoding.n_vocab]  # no rows of padding
            tokens.append(int(logits.argmax()))
            if tokens[-1] == self.eot_token_id:
                break
            text = self.encoding.decode(tokens[start:])
            if any(stop in text for stop in stops):
                break
        return text[: min([text.find(stop) for stop in stops if stop in text], default=len(text))]
