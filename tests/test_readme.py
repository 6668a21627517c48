"""The README's commands parse, and the files it lists are there."""

import re
import shlex
from pathlib import Path

import pytest

import cli

ROOT = Path(cli.__file__).parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^(?:\$ )?python cli\.py ([^#\n]+)", README.replace("\\\n", " "), re.MULTILINE)


def test_the_readme_shows_commands_to_type() -> None:
    assert {command.split()[0] for command in COMMANDS} >= {"fit", "validate", "prepare", "report"}


NOT_LIGHTNING = ("report", "submit", "connectome", "export", "evaluate", "compare", "test --help")


@pytest.mark.parametrize("command", sorted({c.strip() for c in COMMANDS if not c.startswith(NOT_LIGHTNING)}))
def test_a_command_of_the_readme_parses(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as left:
        cli.main([*shlex.split(command), "--print_config"])
    assert left.value.code == 0, capsys.readouterr().err


def test_the_files_that_the_readme_lists_are_there() -> None:
    tree = README.split("## The files")[1].split("```")[1]
    folder = ROOT
    found = 0
    for line in tree.strip().splitlines():
        names = re.split(r" {2,}", line.strip())
        names = [name for name in names if re.fullmatch(r"[\w.]+(?:\.\w+|/)", name)]
        if line.startswith(" "):
            assert all((folder / name).exists() for name in names), line
        else:
            assert all((ROOT / name).exists() for name in names), line
            folder = ROOT / names[0] if names[0].endswith("/") else ROOT
        found += len(names)
    assert found > 20


def test_every_module_of_the_packages_is_in_the_readme() -> None:
    tree = README.split("## The files")[1].split("```")[1]
    for package in ("connectome", "datamodules", "lightning_modules", "callbacks", "exchange"):
        for path in (ROOT / package).glob("*.py"):
            assert path.name == "__init__.py" or path.name in tree, path
