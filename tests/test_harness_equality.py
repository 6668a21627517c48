"""Our `harness` protocols are those of lm-evaluation-harness: the same numbers, question by question."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import cli
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.weights import write_weights

lm_eval = pytest.importorskip("lm_eval")
# The harness' own imports warn, and take 6 s.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

HELLASWAG = [
    (
        "Roof shingle removal: A man is sitting on a roof. he",
        "is using wrap",
        "is ripping  level tiles off.",
        "x",
        "é",
        3,
    ),
    ("Baking: [header] How to bake [title] Mix it. ", " starts[step] with flour.", "eats", "runs", "sleeps ", 0),
    ("Long: " + "on and on, " * 30, "goes", "stops", "turns", "ends", 1),
]
MMLU = [
    ("anatomy", " Which bone is in the leg?", "Femur", "Ulna", "None", "Radius ", "A"),
    ("anatomy", "Question: " + "long " * 60, "1", "22", "333", "4444", "D"),
    ("high_school_us_history", "When?\n", "1776", "1789", "1865", "1914", "B"),
]
TASKS = {  # ours: the official template, and what local rows need beside it
    "hellaswag": ("hellaswag/hellaswag.yaml", "harness"),
    "mmlu": ("mmlu/default/_default_template_yaml", "harness"),
    "mmlu_continuation": ("mmlu/continuation/_continuation_template_yaml", "harness_continuation"),
}


def write_hand_made(folder: Path) -> None:
    rows = [
        {"activity_label": query.split(": ")[0], "ctx": query.split(": ", 1)[1], "endings": endings, "label": label}
        for query, *endings, label in HELLASWAG
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "hellaswag_val.parquet")
    names = ("subject", "question", "A", "B", "C", "D", "answer")
    pq.write_table(
        pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in MMLU]), folder / "mmlu_test.parquet"
    )


def write_real(folder: Path) -> None:
    """Every 200th HellaSwag question and every 300th of MMLU."""
    data = Path(os.environ["CONNECTOMES_SHARED"]) / "data"
    for file, every in {"hellaswag/hellaswag_val.parquet": 200, "mmlu/mmlu_test.parquet": 300}.items():
        table = pq.read_table(data / file)
        pq.write_table(table.take(np.arange(0, len(table), every)), folder / Path(file).name)


def toy(folder: Path, tokenizer: str) -> Path:
    """A model with large weights, so that answers differ; the hand-made rows exceed its context."""
    torch.manual_seed(0)
    vocabulary, context = (320, 64) if tokenizer == "bytes" else (50_304, 1024)
    net = GPT(GPTConfig(vocab_size=vocabulary, n_layer=2, n_head=2, n_embd=16, block_size=context))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    write_weights(folder / "0.safetensors", net, {"tokenizer": tokenizer})
    return folder / "0.safetensors"


def by_the_harness(task: str, folder: Path, checkpoint: Path) -> list[dict[str, Any]]:
    """Samples of the official task on local rows: its own template, with another source of the rows."""
    from lm_eval.tasks import TaskManager

    import exchange.lm_eval_model  # noqa: F401 - registers the model

    template = Path(lm_eval.__file__).parent / "tasks" / TASKS[task][0]
    split = "validation" if task == "hellaswag" else "test"
    local: dict[str, Any] = {
        "include": str(template),
        "task": f"local_{task}",
        "tag": None,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {split: str(folder / f"{task}.jsonl")}, "cache_dir": str(folder / "cache")},
    }
    if task == "hellaswag":
        rows = [
            {"query": f"{row['activity_label']}: {row['ctx']}", "endings": row["endings"], "label": row["label"]}
            for row in pq.read_table(folder / "hellaswag_val.parquet").to_pylist()
        ]
        clean = "def process_docs(rows):\n    from lm_eval.tasks.hellaswag.utils import preprocess\n"
        clean += "    return rows.map(lambda row: {'query': preprocess(row['query']), "
        clean += "'choices': [preprocess(ending) for ending in row['endings']]})\n"
        (folder / "local_rows.py").write_text(clean)
        own = "process_docs: !function local_rows.process_docs\n"
        local |= {"training_split": None}
    else:
        rows = [
            {
                "subject": row["subject"].replace("_", " "),
                "question": row["question"],
                "choices": [row[letter] for letter in "ABCD"],
                "answer": "ABCD".index(row["answer"]),
            }
            for row in pq.read_table(folder / "mmlu_test.parquet").to_pylist()
        ]
        shipped = {"mmlu": "default/mmlu_anatomy", "mmlu_continuation": "continuation/mmlu_anatomy"}
        tasks = Path(lm_eval.__file__).parent / "tasks" / "mmlu"
        about = yaml.safe_load((tasks / f"{shipped[task]}.yaml").read_text())["description"]
        about = about.replace("anatomy", "{{subject}}")
        own = f"description: {json.dumps(about)}\n"
        local |= {"fewshot_split": None, "fewshot_config": None}
    (folder / f"{task}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / f"{task}.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in local.items()) + own)
    found = lm_eval.simple_evaluate(
        model="connectome",
        model_args={"checkpoint": str(checkpoint), "device": "cpu"},
        tasks=[f"local_{task}"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
    )
    return sorted(found["samples"][f"local_{task}"], key=lambda sample: sample["doc_id"])


def by_us(task: str, folder: Path, checkpoint: Path) -> dict[str, list[Any]]:
    """The table of items of `cli.py test`."""
    name = task.partition("_")[0]
    words = f"test {name} --model.checkpoint {checkpoint} --data.folder {folder} --data.protocol {TASKS[task][1]} "
    words += f"--files.out {folder / task} --trainer.accelerator cpu"
    assert cli.main(words.split()) == 0
    (table,) = (folder / task).rglob("*.parquet")
    return pq.read_table(table).to_pydict()


@pytest.mark.parametrize("rows", ["hand-made", pytest.param("real", marks=pytest.mark.shared)])
@pytest.mark.parametrize("task", TASKS)
def test_our_protocol_is_the_harness_s_question_by_question(task: str, rows: str, tmp_path: Path) -> None:
    checkpoint = toy(tmp_path, "gpt2" if rows == "real" else "bytes")
    (write_real if rows == "real" else write_hand_made)(tmp_path)
    samples, items = by_the_harness(task, tmp_path, checkpoint), by_us(task, tmp_path, checkpoint)
    theirs = np.array([[nats for nats, _ in sample["filtered_resps"]] for sample in samples])
    ours = np.array(items["log_probability"])
    assert theirs.shape == ours.shape == (len(samples), 4)
    assert len(samples) >= (47 if rows == "real" else 3)
    assert theirs.std() > 1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert [sample["acc"] for sample in samples] == items["correct_sum"]
    if "acc_norm" in samples[0] and task != "mmlu":
        assert [sample["acc_norm"] for sample in samples] == items["correct_char"]
