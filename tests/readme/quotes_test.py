"""Checks that the guide shows code that exists: the lines of each block `<!-- from: PATH -->` are in
that file of the project, in the same order and one after the other.

Usage: quotes_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import sys

from extract import MARKER, blocks

GUIDE = "cmake/docs/guide.md"


def faults(project):
    count = 0
    for number, before, _, quoted in blocks((project / GUIDE).read_text().splitlines()):
        marker = MARKER.fullmatch(before)
        if not marker or marker[1] != "from":
            continue
        count += 1
        path = project / marker[2]
        lines = path.read_text().splitlines() if path.exists() else []
        starts = range(len(lines) - len(quoted) + 1)
        if not any(lines[start:start + len(quoted)] == quoted for start in starts):
            yield f"line {number}: {marker[2]} has no such lines"
    if count < 3:
        yield f"{count} blocks were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(faults(pathlib.Path(sys.argv[1])))
    sys.exit("\n".join(f"{GUIDE}: {fault}" for fault in found) if found else 0)
