"""`python cli.py prepare`: text, or other people's shards, into the three parts of the experiment."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from datamodules.manifest import Manifest
from datamodules.preparing.docstrings import Docstrings
from datamodules.preparing.documents import LINES, PARQUET, Source, TextFiles, local_files
from datamodules.preparing.encoding_workers import count_complete
from datamodules.preparing.parts import PARTS, PartName
from datamodules.preparing.preparation import UNFINISHED, Preparation
from datamodules.preparing.pretokenised import PretokenisedShards
from datamodules.preparing.verification import verify_folder
from datamodules.preparing.work_lock import work_lock

__all__ = ["PreparationError", "open_source", "prepare"]

log = logging.getLogger(__name__)


class PreparationError(RuntimeError):
    """Preparing stopped; the message says why, what is kept, and how to go on."""


def prepare(
    folder: str = "data/fineweb",
    source: str = "HuggingFaceFW/fineweb",
    configuration: str = "sample-10BT",
    revision: str = "main",
    tokenizer: Literal["gpt2", "bytes"] = "gpt2",
    large: int = 4_000_000_000,
    small: int = 100_000_000,
    validation: int = 10_485_761,
    shard_tokens: int = 100_000_000,
    workers: int = 1,
    task: int | None = None,
    tasks: int = 1,
    verify: bool = False,
) -> None:
    """Write the token shards of the parts large, small and validation, which share no source document.

    Killed at any moment and started again with the same options, it goes on, and the shards are the same to the byte.

    Args:
        folder: where they go: FOLDER/large, FOLDER/small and FOLDER/validation, shards and a manifest each.
        source: a folder, or a glob in quotes, of parquet or jsonl files with a `text` and perhaps a `url` column; a
            dataset on the Hugging Face Hub (owner/name); the word docstrings, for those of the installed packages; or
            token shards that somebody else made, *.bin here or a Hub dataset such as kjj0/fineweb10B-gpt2.
        configuration: which configuration of a Hub dataset.
        revision: branch, tag or commit of a Hub dataset; the commit is written down.
        tokenizer: gpt2, or bytes, which needs no download.
        large: tokens for the outer loop; -1 for all that the other two leave.
        small: tokens for the inner loop.
        validation: tokens for validation; 10,240 windows of 1,024 and the last target.
        shard_tokens: tokens in a shard, two bytes each; the last shard of a part has what is left.
        workers: processes that tokenise.
        task: with several machines, the number of this one, from 0: it tokenises its share. When all tasks are done,
            run the same command without --task; it writes the shards.
        tasks: how many machines share the work.
        verify: only read the folder again, all of it, and compare it with its manifests.

    Raises:
        ValueError: if a number is out of range.
        FileNotFoundError: if the source is not there.
        FileExistsError: if the folder holds something else.
        PreparationError: if it cannot go on: a damaged file, a source smaller than what was asked for, a full disk, a
            network that stays away. The message says which, and what is kept.
    """
    place = Path(folder)
    if verify:
        _report(place, verify_folder(place), "verified")
        return
    sizes: dict[PartName, int] = {"validation": validation, "small": small, "large": large}
    _check_numbers(sizes, shard_tokens, workers, task, tasks)
    found = open_source(source, configuration, revision, tokenizer)
    if isinstance(found, PretokenisedShards):
        if task is not None:
            raise ValueError("shards that are ready are fetched, not tokenised: leave out --task and --tasks")
        with work_lock(place):
            _report(place, _fetched(found, place, sizes), "fetched")
        return
    preparation = Preparation(place, found, tokenizer=tokenizer, sizes=sizes, shard_tokens=shard_tokens)
    if preparation.finished():
        log.info("%s holds this already; nothing to do", place)
        return
    with work_lock(place, task):
        try:
            count = preparation.encode(workers=workers, task=task, tasks=tasks)
            if task is not None:
                log.info("task %d of %d is done; when all are, run the same command without --task", task, tasks)
                return
            _report(place, preparation.write(count), "written")
        except FileExistsError:
            raise
        except Exception as error:
            units, tokens = count_complete(place / UNFINISHED)
            what = str(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
            raise PreparationError(
                f"{what}\n{tokens:,} tokens in {units:,} finished pieces are kept in {place / UNFINISHED}, and shards "
                "already written stay valid: once the cause is gone, the same command goes on from there"
            ) from error


def open_source(name: str, configuration: str, revision: str, tokenizer: str) -> Source | PretokenisedShards:
    """What `--source` names: docstrings, files here, or a dataset on the Hub.

    Raises:
        FileNotFoundError: if it is neither.
    """
    if name == "docstrings":
        return Docstrings()
    here = local_files(name)
    if any(path.endswith(PARQUET + LINES) for path in here):
        return TextFiles.local(name)
    if any(path.endswith(".bin") for path in here):
        return PretokenisedShards.local(name, tokenizer)
    if here or Path(name).exists() or len(name.split("/")) != 2:
        return TextFiles.local(name)  # which says what was expected
    return _on_hub(name, configuration, revision, tokenizer)


def _on_hub(repository: str, configuration: str, revision: str, tokenizer: str) -> Source | PretokenisedShards:
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(repository, revision=revision)
    except Exception as error:
        raise FileNotFoundError(
            f"neither files at {repository} nor, at revision {revision}, a dataset of that name on the Hub could be "
            f"found ({type(error).__name__}: {error}); without a network, name a folder of parquet or jsonl files, or "
            "use --source docstrings --tokenizer bytes"
        ) from error
    commit = info.sha or revision
    names = sorted(entry.rfilename for entry in info.siblings or [])
    shards = tuple(f"hf://datasets/{repository}@{commit}/{name}" for name in names if name.endswith(".bin"))
    if shards and not any(name.endswith(PARQUET + LINES) for name in names):
        return PretokenisedShards(shards, repository, commit, tokenizer)
    return TextFiles.on_hub(repository, configuration, commit)


def _fetched(shards: PretokenisedShards, folder: Path, sizes: Mapping[PartName, int]) -> dict[PartName, Manifest]:
    try:
        return shards.fetch(folder, sizes)
    except (ValueError, FileExistsError):
        raise
    except Exception as error:  # of whatever kind the network's libraries have
        raise PreparationError(
            f"{type(error).__name__}: {error}\nthe shards fetched so far are kept in {folder / UNFINISHED}; once the "
            "cause is gone, the same command goes on from there"
        ) from error


def _check_numbers(
    sizes: Mapping[PartName, int], shard_tokens: int, workers: int, task: int | None, tasks: int
) -> None:
    negative = [part for part, size in sizes.items() if size < (-1 if part == "large" else 0)]
    if negative or not any(sizes.values()):
        raise ValueError(
            f"sizes are tokens, 0 or more, and -1 only for large, which means all that is left; found {sizes}"
        )
    if not 2 <= shard_tokens < 2**31:
        raise ValueError(f"a shard holds 2 to {2**31 - 1:,} tokens, found --shard_tokens {shard_tokens}")
    if workers < 1 or tasks < 1 or (task is not None and not 0 <= task < tasks):
        raise ValueError(
            f"--workers and --tasks are 1 or more, and --task is 0 to tasks - 1; found {workers}, {tasks} and {task}"
        )


def _report(folder: Path, manifests: Mapping[PartName, Manifest], what: str) -> None:
    """Log one aligned line per part."""
    for part in reversed(PARTS):
        if part in manifests:
            m = manifests[part]
            log.info(
                "%-10s %15s tokens %12s documents %4d shards  %s in %s",
                part, f"{m.tokens:,}", f"{m.documents:,}", len(m.shards), what, folder / part,
            )  # fmt: skip
