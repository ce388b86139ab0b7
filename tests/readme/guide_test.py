"""Checks that the guide is about what exists: the lines of each block `<!-- from: PATH -->` are in that
file of the project, one after the other, and whatever it calls by a name is in the headers, or in its
own code.

Usage: guide_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import re
import sys

from extract import MARKER, blocks

GUIDE = "cmake/docs/guide.md"
NAME = re.compile(r"`(?:\.|roost::|errc::)?(\w+)(?:\(\w*\))?`")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OTHERS = "## Coming from the original"  # from here on names are those of another library, too


def misquoted(project, text):
    count = 0
    for number, before, _, quoted in blocks(text.splitlines()):
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
        yield f"{count} quotes were found"


def unknown(project, text):
    ours, _, _ = text.partition(OTHERS)
    headers = "".join(path.read_text() for path in (project / "include").rglob("*.?pp"))
    known = set(re.findall(r"\w+", headers + "".join(CODE.findall(ours))))
    names = set(NAME.findall(CODE.sub("", ours)))
    for name in sorted(names - known):
        yield f"nothing is called {name}"
    if len(names) < 50:
        yield f"{len(names)} names were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1])
    guide = (root / GUIDE).read_text()
    found = [*misquoted(root, guide), *unknown(root, guide)]
    sys.exit("\n".join(f"{GUIDE}: {fault}" for fault in found) if found else 0)
