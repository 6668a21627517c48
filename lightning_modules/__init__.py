"""The GPT, and everything that is computed with it.

Names are imported when they are asked for: who reads records needs neither torch nor Lightning, which take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_modules.gpt import GPT, GPTConfig
    from lightning_modules.language_model import LanguageModel

__all__ = ["GPT", "GPTConfig", "LanguageModel"]

_MODULES = {"GPT": "gpt", "GPTConfig": "gpt", "LanguageModel": "language_model"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lightning_modules' has no {name!r}")
    return getattr(import_module(f"lightning_modules.{_MODULES[name]}"), name)
