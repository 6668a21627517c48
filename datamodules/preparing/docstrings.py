"""The embedded corpus: English docstrings of the packages that this project installs anyway. Nothing is imported."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.preparing.documents import Row, Unit

__all__ = ["PACKAGES", "Docstrings", "docstrings", "english_prose"]

PACKAGES = {  # name to import: name of the distribution, whose version is recorded
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "pandas": "pandas",
    "sympy": "sympy",
    "networkx": "networkx",
    "matplotlib": "matplotlib",
    "lightning": "lightning",
    "torchmetrics": "torchmetrics",
    "datasets": "datasets",
    "huggingface_hub": "huggingface-hub",
    "jsonargparse": "jsonargparse",
    "tensorboard": "tensorboard",
}
MODULES_PER_UNIT = 100  # some 150 kB of prose, half a second of parsing
SHORTEST = 100  # characters
FUNCTION_WORDS = frozenset(
    ["the", "of", "to", "is", "a", "and", "in", "for", "be", "that", "are", "with", "by", "if", "this", "or"]
)


@dataclass(frozen=True)
class Docstrings:
    """Docstrings of installed packages, one document each, in an order that mixes the packages.

    Which documents these are depends on the versions installed; `identity` records them.

    Args:
        packages: names to import of the packages to read; those not installed are left out.
    """

    packages: tuple[str, ...] = tuple(PACKAGES)

    def identity(self) -> dict[str, Any]:
        """The packages found, with their versions."""
        return {"name": "docstrings", "revision": "", "packages": self.versions}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Version of every package found."""
        found = [name for name in self.packages if _root(name) is not None]
        return {name: _version(PACKAGES.get(name, name)) for name in found}

    @cached_property
    def modules(self) -> list[Path]:
        """Source files, tests left out, in order of a hash of their path within the packages."""
        roots = [root for name in self.packages if (root := _root(name)) is not None]
        paths = {str(p.relative_to(root.parent)): p for root in roots for p in root.rglob("*.py")}
        names = [name for name in paths if not re.search(r"(^|/)(tests?|testing|conftest\.py)(/|$)", name)]
        return [paths[name] for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())]

    def units(self) -> Iterator[Unit]:
        """A hundred modules each."""
        modules = self.modules
        if not modules:
            raise FileNotFoundError(f"none of the packages {', '.join(self.packages)} is installed with its sources")
        pieces = -(-len(modules) // MODULES_PER_UNIT)
        for number in range(pieces):
            yield Unit(number, "installed packages", number, pieces, 150_000)

    def read(self, unit: Unit) -> Iterator[list[Row]]:
        """The docstrings of one unit, one batch per module."""
        start = unit.piece * MODULES_PER_UNIT
        for path in self.modules[start : start + MODULES_PER_UNIT]:
            yield [Row(text) for text in docstrings(path.read_bytes())]


def docstrings(source: bytes) -> list[str]:
    """English docstrings of one Python file in order of appearance; none where it does not parse."""
    if b'"""' not in source and b"'''" not in source:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    proses = [english_prose(text) for text in found if text]
    return [prose for prose in proses if prose]


def english_prose(docstring: str) -> str:
    """A docstring without its interpreter sessions; empty if what is left is short or hardly English."""
    paragraphs = [paragraph for paragraph in docstring.split("\n\n") if ">>>" not in paragraph]
    prose = "\n\n".join(paragraphs).strip()
    words = re.findall(r"[a-z]+", prose.lower())
    english = len(FUNCTION_WORDS.intersection(words)) >= 3
    return prose if english and len(prose) >= SHORTEST else ""


def _root(package: str) -> Path | None:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
