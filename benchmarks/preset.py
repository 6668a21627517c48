"""What is measured where: shapes, batches, and how often."""

from dataclasses import dataclass, replace
from typing import Literal

from lightning_modules.gpt import GPTConfig

__all__ = ["PRESETS", "Case", "LossSize", "Preset", "Run", "Variant"]

Precision = Literal["32-true", "bf16-mixed"]


@dataclass(frozen=True)
class Case:
    """A network and what a step reads.

    Args:
        name: of the shape.
        shape: of the network.
        precision: as the trainer names it.
        sequences: of `shape.block_size` tokens in a step, one micro-batch.
    """

    name: str
    shape: GPTConfig
    precision: Precision
    sequences: int

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.sequences * self.shape.block_size

    def __str__(self) -> str:
        return f"{self.name}, {self.precision}, {self.sequences} x {self.shape.block_size} tokens"


@dataclass(frozen=True)
class Variant:
    """A bare loop around `LanguageModel`: what is switched on in it."""

    compile: bool = False
    masks: bool = False
    chunked: bool = False

    def __str__(self) -> str:
        extras = [name for name in ("masks", "chunked") if getattr(self, name)]
        return " + ".join([f"bare loop, {'compiled' if self.compile else 'eager'}", *extras])


@dataclass(frozen=True)
class Run:
    """A run through the command line, masks and logging on, and the bare loops that take turns with it.

    Args:
        compile: `--model.compile`.
        deterministic: `--trainer.deterministic`, as in outer.yaml and inner.yaml.
        beside: bare loops; the first is the base of the ratios.
    """

    compile: bool
    beside: tuple[Variant, ...]
    deterministic: bool = False

    def __str__(self) -> str:
        extra = ", deterministic" if self.deterministic else ""
        return f"command line, {'compiled' if self.compile else 'eager'}{extra}"


@dataclass(frozen=True)
class LossSize:
    """Tokens of a micro-batch, width of the network, precision, and rows of the chunks that are tried."""

    tokens: int
    width: int
    precision: Precision
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Preset:
    """Everything that one call measures.

    Args:
        device: `cpu` or `cuda`.
        speed: cases and runs of the tables of speed.
        masks: case whose dense step is what the masks cost a share of.
        loss: sizes of the loss alone; `vocab_size` its vocabulary.
        profile: case of which a compiled step is taken apart.
        boundary: case of two short generations.
        checkpoint: shape whose files are written.
        steps: optimizer steps of a turn.
        rounds: turns of each.
    """

    device: str
    speed: tuple[tuple[Case, tuple[Run, ...]], ...]
    masks: Case
    loss: tuple[LossSize, ...]
    vocab_size: int
    profile: Case
    boundary: Case
    checkpoint: GPTConfig
    steps: int
    rounds: int


EAGER, COMPILED = Variant(), Variant(compile=True)
ON_CPU = (Run(compile=False, beside=(EAGER,)), Run(compile=True, beside=(EAGER, COMPILED)))
ON_GPU = (
    Run(
        compile=True,
        beside=(
            COMPILED,
            Variant(compile=True, masks=True),
            Variant(compile=True, chunked=True),
        ),
    ),
    Run(compile=False, beside=(EAGER, Variant(masks=True), Variant(chunked=True))),
    Run(compile=True, deterministic=True, beside=(COMPILED,)),
)
SMALL = GPTConfig.named("30M", block_size=256)
BODY = GPTConfig.named("30M", block_size=256, vocab_size=8192)
TINY = GPTConfig(vocab_size=128, n_layer=1, n_head=2, n_embd=16, block_size=16)

GPU = Preset(
    device="cuda",
    speed=(
        (Case("124M", GPTConfig(), "bf16-mixed", 32), ON_GPU),
        (Case("124M", GPTConfig(), "bf16-mixed", 64), ON_GPU[:2]),
    ),
    masks=Case("124M", GPTConfig(), "bf16-mixed", 32),
    loss=tuple(LossSize(tokens, 768, "bf16-mixed", (2048, 8192)) for tokens in (32_768, 65_536)),
    vocab_size=50_304,
    profile=Case("124M", GPTConfig(), "bf16-mixed", 32),
    boundary=Case("124M", GPTConfig(), "bf16-mixed", 32),
    checkpoint=GPTConfig(),
    steps=10,
    rounds=5,
)
PRESETS = {
    "cpu": Preset(
        device="cpu",
        speed=(
            (Case("30M without its vocabulary (8,192)", BODY, "32-true", 4), ON_CPU),
            (Case("30M", SMALL, "bf16-mixed", 4), ON_CPU),
        ),
        masks=Case("30M", SMALL, "32-true", 1),
        loss=(
            LossSize(4096, 384, "32-true", (256, 1024, 2048)),
            LossSize(4096, 384, "bf16-mixed", ()),
            LossSize(4096, 768, "32-true", ()),
        ),
        vocab_size=50_304,
        profile=Case("30M", SMALL, "32-true", 4),
        boundary=Case("124M", GPTConfig(block_size=64), "32-true", 1),
        checkpoint=GPTConfig(),
        steps=1,
        rounds=6,
    ),
    "gpu": GPU,
    # every path of `gpu` at a size at which nothing but its working can be seen, on a CPU
    "tiny": replace(
        GPU,
        device="cpu",
        speed=((Case("tiny", TINY, "bf16-mixed", 2), ON_GPU),),
        masks=Case("tiny", TINY, "bf16-mixed", 2),
        loss=(LossSize(64, 16, "bf16-mixed", (16, 64)),),
        vocab_size=128,
        profile=Case("tiny", TINY, "bf16-mixed", 2),
        boundary=Case("tiny", TINY, "bf16-mixed", 2),
        checkpoint=TINY,
        steps=2,
        rounds=2,
    ),
}
