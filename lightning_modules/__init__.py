"""The GPT, and everything that is computed with it."""

from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.language_model import LanguageModel

__all__ = ["GPT", "GPTConfig", "LanguageModel"]
