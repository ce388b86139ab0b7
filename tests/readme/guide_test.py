"""Checks that the guide is about what exists: the lines of each block `<!-- from: PATH -->` are in that
file of the project, one after the other, whatever it calls by a name is in the headers or in its own
code, and its tables have every metric and every log event. The names in the README are looked at too.

Usage: guide_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import re
import sys

from extract import MARKER, blocks

GUIDE = "cmake/docs/guide.md"
README = "README.md"
NAME = re.compile(r"`(?:\.|roost::|errc::)?([^\W_]\w*)(?:::(\w+))?(?:\(\w*\))?`")
COMMENT = re.compile(r"//.*")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
EVENT = re.compile(r'\b(?:log|log_limited|log_failure|warn)\(\s*(?:[^"();?]*?,\s*)?"(\w+)"'  # by its name
                   r'|\bspawn\("(\w+_failed)"'  # for the case that it throws
                   r'|\blog\([^"();?]*\? "(\w+)" : "(\w+)"')  # one of two
ELSEWHERE = {"add_subdirectory", "GIT_REPOSITORY", "beast_tls", "Exposer"}  # CMake, prometheus-cpp
OTHERS = "## Coming from the original"  # from here on names are those of another library, too


def text_of_headers(project):
    return "".join(path.read_text() for path in (project / "include").rglob("*.?pp"))


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
    headers = COMMENT.sub("", text_of_headers(project))
    known = set(re.findall(r"\w+", headers + "".join(CODE.findall(ours)))) | ELSEWHERE
    names = {name for match in NAME.findall(CODE.sub("", ours)) for name in match if name}
    for name in sorted(names - known):
        yield f"nothing is called {name}"
    if len(names) < 50:
        yield f"{len(names)} names were found"


def differences(project, text):
    """Between its section of metrics and logs and the headers."""
    _, _, section = text.partition("## Metrics and logs")
    metrics, _, events = section.partition("## ")[0].partition("Log events")
    told = {"metric": set(re.findall(r"`(roost_[a-z_]+)`", metrics)),
            "event": set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", events, re.M))))}
    headers = text_of_headers(project)
    there = {"metric": set(re.findall(r'"(roost_[a-z_]+)", "', headers)),
             "event": {name for match in EVENT.findall(headers) for name in match if name}}
    for kind, names in there.items():
        for name in sorted(names - told[kind]):
            yield f"no {kind} {name} in its table"
        for name in sorted(told[kind] - names):
            yield f"no {kind} is called {name}"
        if len(names) < 20:
            yield f"{len(names)} names of {kind}s were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1])
    guide = (root / GUIDE).read_text()
    faults = {GUIDE: [*misquoted(root, guide), *unknown(root, guide), *differences(root, guide)],
              README: [*unknown(root, (root / README).read_text())]}
    found = [f"{file}: {fault}" for file, of_file in faults.items() for fault in of_file]
    sys.exit("\n".join(found) if found else 0)
