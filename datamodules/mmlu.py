"""MMLU: examination questions of 57 subjects with four answers each (Hendrycks et al., 2021)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import tiktoken

from datamodules.multiple_choice import MultipleChoiceData, Question
from datamodules.question_files import Row, fetch_rows, find_files, read_rows

__all__ = ["CATEGORIES", "MMLU"]

HUB = "cais/mmlu"
COLUMNS = ("question", "A", "B", "C", "D", "answer")
LETTERS = "ABCD"
CATEGORIES = {  # as lm-evaluation-harness groups them; what is not named here is "other"
    "stem": "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning",
    "humanities": "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
    "professional_law world_religions",
    "social_sciences": "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy",
}
CATEGORY_OF = {subject: category for category, subjects in CATEGORIES.items() for subject in subjects.split()}


class MMLU(MultipleChoiceData):
    """The 14,042 test questions of MMLU, of 57 subjects; no model of these sizes is above chance on them.

    Args:
        folder: with `data/test/*_test.csv` (or `test/*_test.csv`) of the original archive, `mmlu_test.parquet` or the
            Hub's `test-*.parquet`; for `shots` likewise with `dev`. By default fetched from the Hub, `cais/mmlu`.
        revision: commit, tag or branch on the Hub.
        protocol: `paper` scores the text of each answer after the question alone, as the authors' script and llm.c
            do; `harness` shows the answers and scores their letters, and `harness_continuation` scores their texts
            after the question, both as lm-evaluation-harness does.
        shots: solved questions of the same subject put first; `harness` only. Those that do not fit into the model's
            context are left out as a whole, the last ones first.
        mutual_information: report also accuracy by log p(answer | question) - log p(answer | "Answer:"), which takes
            out how likely each answer is by itself; not for letters.
        limit: questions to ask, in place of all: the same subset each time, with each subject's share.
        batch_tokens: tokens of a batch, padding included; figures do not depend on it.
        tokenizer: the model's.
        block_size: tokens of the model's context. Rows that exceed it lose the beginning of their context.

    Raises:
        FileNotFoundError: if there are no such files, or the Hub cannot be reached.
        ValueError: if they hold something else, or options do not go together.
    """

    task = "mmlu"

    def __init__(
        self,
        *,
        folder: str | None = None,
        revision: str = "main",
        protocol: Literal["paper", "harness", "harness_continuation"] = "paper",
        shots: int = 0,
        mutual_information: bool = False,
        limit: int | None = None,
        batch_tokens: int = 16_384,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(
            limit=limit, batch_tokens=batch_tokens, protocol=protocol, tokenizer=tokenizer, block_size=block_size
        )
        if shots < 0 or (shots and protocol != "harness"):
            raise ValueError(f"--data.shots is for the protocol harness, and not negative; found {shots}, {protocol}")
        if mutual_information and protocol == "harness":
            raise ValueError("letters have no probability by themselves: --data.mutual_information is not for harness")
        self.folder, self.revision, self.shots = folder, revision, shots
        self.unconditional = mutual_information

    def pose(self, encoding: tiktoken.Encoding) -> list[Question]:
        """All questions, in the order of the files."""
        rows, self.source = self._rows("test")
        solved: dict[str, list[Row]] = {}
        if self.shots:
            examples, source = self._rows("dev")
            self.source = replace(self.source, sha256=self.source.sha256 | source.sha256)
            for row in examples:
                solved.setdefault(row["subject"], []).append(row)
        self.shots_left_out = self.questions_with_fewer = 0
        questions = []
        for row in rows:
            shown = solved.get(row["subject"], [])[: self.shots]
            if len(shown) < self.shots:
                raise ValueError(f"{row['subject']} has {len(shown)} solved questions, expected {self.shots} or more")
            questions.append(self._question(row, shown, encoding))
        return questions

    def stratum(self, question: Question) -> str:
        """The subject."""
        return question.groups["subject"]

    def options(self) -> dict[str, Any]:
        """Also the shots, and whether answers are scored by themselves."""
        chosen: dict[str, Any] = {"shots": self.shots} if self.shots else {}
        return super().options() | chosen | ({"mutual_information": "true"} if self.unconditional else {})

    def about(self) -> dict[str, Any]:
        """Also how many shots did not fit."""
        left_out = {"shots_left_out": self.shots_left_out, "questions_with_fewer_shots": self.questions_with_fewer}
        return super().about() | {"shots": self.shots} | (left_out if self.shots else {})

    def remarks(self) -> list[str]:
        """Also how many shots did not fit."""
        said = super().remarks()
        if self.shots_left_out:
            said.append(
                f"{self.questions_with_fewer:,} of {self.total:,} questions had room for fewer than {self.shots} "
                f"solved ones before them; {self.shots_left_out:,} were left out."
            )
        return said

    def _rows(self, part: str) -> tuple[list[Row], Any]:
        if self.folder is None:
            rows, source = fetch_rows(HUB, "all", part, self.revision)
        else:
            files = f"data/{part}/*_{part}.csv", f"{part}/*_{part}.csv", f"mmlu_{part}.parquet"
            hub = f"{part}-*.parquet", f"all/{part}-*.parquet"
            rows, source = read_rows(find_files(self.folder, [*files, *hub]), COLUMNS)
            source = replace(source, name="MMLU")
        try:
            return [_uniform_row(row, part) for row in rows], source
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{next(iter(source.sha256))} has not the fields of MMLU ({type(error).__name__}: {error})"
            ) from error

    def _question(self, row: Row, solved: Sequence[Row], encoding: tiktoken.Encoding) -> Question:
        groups = {"subject": row["subject"], "category": CATEGORY_OF.get(row["subject"], "other")}
        options = tuple(row["choices"])
        if self.protocol == "paper":
            context = f"Question: {row['question']}\n\nAnswer:"
        else:
            subject = row["subject"].replace("_", " ")
            kind = "multiple choice questions" if self.protocol == "harness" else "questions"
            context = f"The following are {kind} (with answers) about {subject}.\n\n"
            if self.protocol == "harness":
                context = self._with_shots(context, row, solved, encoding)
            else:
                context += f"Question: {row['question'].strip()}\nAnswer:"
        letters = self.protocol == "harness"
        answers = tuple(f" {answer}" for answer in (LETTERS if letters else options))
        return Question(context, answers, options, row["gold"], groups)

    def _with_shots(self, description: str, row: Row, solved: Sequence[Row], encoding: tiktoken.Encoding) -> str:
        asked = _with_letters(row)
        shown = [f"{_with_letters(example)} {LETTERS[example['gold']]}\n\n" for example in solved]
        kept = len(shown)
        room = self.block_size + 1  # the last token is predicted, not read
        while kept and len(encoding.encode_ordinary(description + "".join(shown[:kept]) + asked + " A")) > room:
            kept -= 1
        self.shots_left_out += len(shown) - kept
        self.questions_with_fewer += kept < len(shown)
        return description + "".join(shown[:kept]) + asked


def _with_letters(row: Row) -> str:
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=True)]
    return "\n".join([row["question"].strip(), *lines, "Answer:"])


def _uniform_row(row: Row, part: str) -> Row:
    """Subject, question, choices and number of the right one, from any of the three forms."""
    choices = row["choices"] if "choices" in row else [row[letter] for letter in LETTERS]
    answer = row["answer"]
    gold = LETTERS.index(answer) if isinstance(answer, str) and answer in LETTERS and answer else int(answer)
    subject = row["subject"] if "subject" in row else row["file"].removesuffix(f"_{part}.csv")
    return {"subject": subject, "question": row["question"], "choices": choices, "gold": gold}
