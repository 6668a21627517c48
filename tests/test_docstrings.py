"""The embedded corpus, on a toy package."""

import pytest

from datamodules.preparing.docstrings import Docstrings, docstrings, english_prose

PROSE = "Return the sum of all the values that are given in the list, which may be empty, in which case it is zero."


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes `zoo`, which cannot be imported, with 1 documented function in each of 150 modules, and tests."""
    folder = tmp_path / "zoo"
    (folder / "tests").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    for number in range(150):
        (folder / f"module_{number}.py").write_text(f'def f():\n    """{PROSE} Number {number}."""\n')
    (folder / "tests" / "test_zoo.py").write_text(f'"""{PROSE} A test."""')
    monkeypatch.syspath_prepend(tmp_path)
    return "zoo"


def test_docstrings_of_modules_classes_and_functions_are_found():
    source = f'"""{PROSE} 1"""\nclass A:\n    """{PROSE} 2"""\n    x = """{PROSE}"""\n'
    source += f'    def f(self):\n        """{PROSE} 3"""\n'
    assert docstrings(source.encode()) == [f"{PROSE} 1", f"{PROSE} 2", f"{PROSE} 3"]


@pytest.mark.parametrize("source", [b"", b'"""', b"def f(:", b'x = "\xff"\n"""y"""', b'"""a\0b"""'])
def test_a_file_that_does_not_parse_has_no_docstrings(source):
    assert docstrings(source) == []


def test_interpreter_sessions_are_left_out():
    assert english_prose(f"{PROSE}\n\n>>> f([1, 2])\n3\n\nSee also g.") == f"{PROSE}\n\nSee also g."


@pytest.mark.parametrize("text", ["Return the sum of a and b.", "Das ist die Summe aller Werte. " * 5, "a b " * 50])
def test_short_or_foreign_docstrings_are_left_out(text):
    assert english_prose(text) == ""


def test_every_module_is_read_once_without_importing_it(package):
    source = Docstrings((package,))
    texts = [row.text for unit in source.units() for batch in source.read(unit) for row in batch]
    assert sorted(texts) == sorted(f"{PROSE} Number {number}." for number in range(150))


def test_the_order_is_the_same_at_every_reading(package):
    first, second = (list(Docstrings((package,)).modules) for _ in range(2))
    assert first == second != sorted(first)


def test_packages_that_are_not_installed_are_left_out_of_the_identity(package):
    identity = Docstrings((package, "no_such_package_here", "numpy")).identity()
    assert identity["packages"].keys() == {"zoo", "numpy"}


def test_no_package_at_all_is_an_error():
    with pytest.raises(FileNotFoundError, match="none of the packages no_such_package_here is installed"):
        list(Docstrings(("no_such_package_here",)).units())
