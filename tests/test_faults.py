"""Each fault that users of other tools met, and that was tried here, has a test that names it.

A test, or a contract of a suite, proves a case by ``Fault V1:`` in its docstring, or by several
numbers, as in ``Fault N11, N12:``. So a case is found by its number: ``git grep "Fault.*V1"``.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SUITES = TESTS.parent / "aios_core" / "testing"
LABEL = re.compile(r"Faults? ((?:[VDTNE]\d+(?:,? and |, (?:Fault )?)?)+)")

CASES = {
    "V1": "values of another type are cut or converted without a word",
    "V2": "a filter's literal means something else than its column",
    "V3": "a store is used after a fork",
    "V4": "a store is used by several threads",
    "V5": "vectors of one's own are searched by the default embedding",
    "V6": "vectors are very long or very short",
    "V7": "an id comes twice in one file",
    "V8": "readers stand beside a writer",
    "V9": "columns and tables have unusual names",
    "V10": "a first import fails",
    "V11": "an error names a row of the batch and not of the file",
    "V12": "numbers are out of range",
    "V13": "a text is given for a list of ids",
    "V19": "rows travel through a file, without what made their vectors",
    "D2": "a run is measured on other texts",
    "D7": "memory runs out",
    "D8": "a message names an option that the command does not have",
    "T1": "a tokenizer file cuts and pads",
    "T2": "constraints on texts are violated by some tokenizers",
    "T3": "small weights are destroyed by quantizing",
    "T4": "an adapter needs more than its matrices",
    "T5": "a journal keeps what cannot be read",
    "T6": "a user's text holds special tokens",
    "T7": "a gate errs more often than it promises",
    "T8": "options and differences are not what they say",
    "N1": "a schedule leaves loss out of the bound",
    "N2": "no other value than the default of a field is tested",
    "N3": "alpha is no number, or of another shape",
    "N4": "log-probabilities that are no numbers become text",
    "N5": "evaluating writes into the run",
    "N6": "a type of store that is not installed becomes a folder's name",
    "N7": "a process is killed while it makes something",
    "N10": "files have other rights than the umask gives",
    "N11": "standard streams are closed, and signals come",
    "N12": "standard output is full",
    "N13": "numbers are too large",
    "N14": "names are no UTF-8",
    "N15": "a check says that contracts are kept where nothing was loaded",
    "N16": "files of a run are damaged",
    "N17": "a plugin returns or raises something wrong",
    "N18": "the disk is full in the middle of an import",
    "N19": "a report marks what its numbers deny",
    "E3": "long texts, and several files, cannot be scored",
    "E5": "tensors that are one are written twice",
    "E6": "a skill is used by rolling back",
    "E7": "shards of weights are replaced one by one",
    "E8": "an ablation writes into the folder of a run",
    "E9": "decoding reads no stdin, and a dash is no hint",
    "E10": "keys and values outside of what TOML calls bare are reported wrong",
    "E11": "intervals of two seeds have no note",
    "E13": "bits per weight do not say of what",
}


@cache
def labels():
    """Numbers, and the functions whose docstrings name them."""
    result = {}
    for path in sorted([*TESTS.rglob("test_*.py"), *SUITES.rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = " ".join((ast.get_docstring(node) or "").split())
                for match in LABEL.finditer(text):
                    for number in re.findall(r"[VDTNE]\d+", match[1]):
                        result.setdefault(number, []).append(f"{path.name}::{node.name}")
    return result


@pytest.mark.parametrize("number", CASES)
def test_a_case_has_a_test(number):
    assert labels().get(number), f"no test says Fault {number}: {CASES[number]}"
