"""Checks the README: it has at most 200 lines, and its excerpts, the blocks `<!-- from: PATH -->`, have
only lines of that file of the project.

Usage: readme_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import sys

from extract import MARKER, blocks

MOST_LINES = 200
FEWEST_QUOTED = 5  # fewer mean that the excerpts were not found


def quoted_lines(text):
    """Yields (line number of the block, path, line) of each line that is quoted."""
    for number, before, _, quoted in blocks(text.splitlines()):
        marker = MARKER.fullmatch(before)
        if marker and marker[1] == "from":
            yield from ((number, marker[2], line.strip()) for line in quoted)


def faults(project):
    text = (project / "README.md").read_text(encoding="utf-8")
    if (count := len(text.splitlines())) > MOST_LINES:
        yield f"{count} lines are more than {MOST_LINES}"
    count = 0
    for count, (number, path, line) in enumerate(quoted_lines(text), 1):
        file = project / path
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if line not in map(str.strip, lines):
            yield f"line {number}: {path} has no line {line!r}"
    if count < FEWEST_QUOTED:
        yield f"{count} quoted lines were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(faults(pathlib.Path(sys.argv[1])))
    sys.exit("\n".join(f"README.md: {fault}" for fault in found) if found else 0)
