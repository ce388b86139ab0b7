"""Checks that the threat model is about what exists: each row of its tables names a test, the tests
are there, and so are the options and functions that it calls by their names.

Usage: security_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import re
import sys

STRINGS = r'"((?:[^"\\]|\\.)*)"'
TEST_CASE = re.compile(rf"TEST_CASE\(\s*((?:{STRINGS}\s*)+)")
CITED = re.compile(rf"`(tests/[\w/]+\.cpp)`: ({STRINGS}(?:, {STRINGS})*)")


def tests_of(source):
    return {"".join(re.findall(STRINGS, names)) for names, _ in TEST_CASE.findall(source)}


def rows(text):
    """Yields (line number, cells) of each row below a head."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("| ") and not line.startswith("| Threat |"):
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


def faults(project):
    headers = "".join(path.read_text() for path in (project / "include").rglob("*.?pp"))
    count = 0
    for number, cells in rows((project / ".github/SECURITY.md").read_text()):
        count += 1
        if len(cells) != 3:
            yield f"line {number}: {len(cells)} cells"
            continue
        for name in re.findall(r"`(\w+)`", cells[1]):
            if not re.search(rf"\b{name}\b", headers):
                yield f"line {number}: nothing is called {name}"
        cited = CITED.findall(cells[2])
        if not cited or CITED.sub("", cells[2]).strip(" ,"):
            yield f"line {number}: `tests/FILE.cpp`: \"NAME\" is wanted, found {cells[2]}"
        for file, names, *_ in cited:
            path = project / file
            there = tests_of(path.read_text()) if path.exists() else set()
            for name in re.findall(STRINGS, names):
                if name not in there:
                    yield f"line {number}: {file} has no test \"{name}\""
    if count < 20:
        yield f"{count} rows were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(faults(pathlib.Path(sys.argv[1])))
    sys.exit("\n".join(f"SECURITY.md: {fault}" for fault in found) if found else 0)
