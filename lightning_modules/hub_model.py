"""Models on the Hugging Face Hub, brought into its cache on this machine. Only data is fetched, never code."""

import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

__all__ = ["fetch_model", "is_hub_name"]

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")
FILES = (".ckpt", ".safetensors", ".bin", ".pt", ".pth", ".connectome", ".yaml")


def is_hub_name(name: str) -> bool:
    """Whether this reads as `owner/model` or `owner/model@revision`, and not as a file or folder that is here."""
    return bool(NAME.fullmatch(name)) and not name.endswith(FILES) and not Path(name).exists()


def fetch_model(name: str) -> Path:
    """The folder in the Hub's cache with a model's weights, its config.json and its connectome, where it has them.

    Args:
        name: `owner/model`, or `owner/model@revision`.

    Raises:
        FileNotFoundError: if there is no such model, it holds no weights, or the Hub is out of reach.
    """
    repository, _, revision = name.partition("@")

    def fetch(file: str) -> Path | None:
        try:
            return Path(hf_hub_download(repository, file, revision=revision or None))
        except LocalEntryNotFoundError:  # an EntryNotFoundError too: no network, and not in the cache
            raise
        except EntryNotFoundError:
            return None

    try:
        found = next((path for path in map(fetch, WEIGHTS) if path), None)
        if found:
            fetch("config.json")
            fetch("connectome.connectome")
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FileNotFoundError(
            f"{name} is neither a file or folder here nor a model that the Hub gives ({type(error).__name__}: "
            f"{reason}). Without a network, fetch it elsewhere with `hf download {repository} --local-dir FOLDER` and "
            "name that folder"
        ) from error
    if found is None:
        raise FileNotFoundError(f"the model {name} on the Hub holds neither {' nor '.join(WEIGHTS)}")
    return found.parent
