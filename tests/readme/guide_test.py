"""Checks that the guide is about what exists:

- the lines of each block `<!-- from: PATH -->` are in that file of the project, one after the other;
- whatever a page calls by a name is in the headers, in code of the guide, or in a file of the project;
- every metric is named in some page, and every log event in a column "event" of a table;
- limits.md has each option that is a limit, a time or a size, with the default that the header gives it.

The names in the README are looked at too.

Usage: guide_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import re
import sys

from extract import MARKER, blocks, pages

LIMITS = "cmake/docs/limits.md"
NAME = re.compile(r"`(?:\.|roost::|errc::)?([^\W_]\w*)(?:::(\w+))?(?:\(\w*\))?`")
COMMENT = re.compile(r"//.*")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
EVENT = re.compile(r'\b(?:log|log_limited|log_failure|warn)\(\s*(?:[^"();?]*?,\s*)?"(\w+)"'  # by its name
                   r'|\bspawn\("(\w+_failed)"'  # for the case that it throws
                   r'|\blog\([^"();?]*\? "(\w+)" : "(\w+)"')  # one of two
# A section about another library has names of that one, too.
OTHERS = re.compile(r"^(#+) [^\n]*(?:Python|hawkapi|original).*?(?=^#{1,2} |\Z)", re.MULTILINE | re.DOTALL)
# Where names come from that are not in a header: those of CMake, of a script, of an example.
ELSEWHERE = ("*.cmake", "CMakeLists.txt", "CMakePresets.json", "examples/**/*.*pp", "examples/**/*.js",
             "cmake/*.*", "cmake/packaging/**/*.*", "tests/consumer/**/*.cmake")
OPTIONS = ("ManagerOptions", "ListenOptions", "StreamOptions", "KeyLimits", "HeartbeatOptions",
           "DrainOptions", "CloseAllOptions", "RedisOptions", "LocalBackplaneOptions", "HistoryRule",
           "HistoryOptions")


def text_of_headers(project):
    return "".join(path.read_text() for path in (project / "include").rglob("*.?pp"))


def misquoted(project, text):
    for number, before, _, quoted in blocks(text.splitlines()):
        marker = MARKER.fullmatch(before)
        if not marker or marker[1] != "from":
            continue
        path = project / marker[2]
        lines = path.read_text().splitlines() if path.exists() else []
        starts = range(len(lines) - len(quoted) + 1)
        if not any(lines[start:start + len(quoted)] == quoted for start in starts):
            yield f"line {number}: {marker[2]} has no such lines"


def known_names(project, texts):
    words = COMMENT.sub("", text_of_headers(project))
    words += "".join(code for text in texts for code in CODE.findall(text))
    for pattern in ELSEWHERE:
        words += "".join(path.read_text() for path in project.glob(pattern) if path.is_file())
    return set(re.findall(r"\w+", words)) | {"Exposer", "Collectable"}  # of prometheus-cpp


def names_in(text):
    return {name for match in NAME.findall(CODE.sub("", OTHERS.sub("", text))) for name in match if name}


def tables(text):
    """Yields (the paragraph before it, head, rows) of each table; head and rows are lists of cells."""
    before, is_new, rows = "", True, []
    for line in [*CODE.sub("", text).splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip() for cell in cells])
            continue
        if rows:
            yield before, rows[0], rows[2:]
            before, rows = "", []
        if line.strip():
            before = line if is_new else f"{before} {line}"
        is_new = not line.strip()


def column(text, title):
    """Yields (paragraph before the table, first cell, cell below a title that matches) of each row."""
    for before, head, rows in tables(text):
        for place, cell in enumerate(head):
            if re.fullmatch(title, cell, re.IGNORECASE):
                yield from ((before, row[0], row[place]) for row in rows if len(row) > place)


def differences(project, texts):
    """Between the metrics and log events of all pages and those of the headers."""
    text = "\n".join(texts)
    cells = " ".join(cell for *_, cell in column(text, r"(?:log )?events?"))
    told = {"metric": set(re.findall(r"`(roost_[a-z_]+)`", text)),
            "event": set(re.findall(r"`(\w+)`", cells))}
    headers = text_of_headers(project)
    there = {"metric": set(re.findall(r'"(roost_[a-z_]+)", "', headers)),
             "event": {name for match in EVENT.findall(headers) for name in match if name}}
    for kind, names in there.items():
        for name in sorted(names - told[kind]):
            yield f"no page has the {kind} {name}"
        for name in sorted(told[kind] - names):
            yield f"no {kind} is called {name}"
        if len(names) < 20:
            yield f"{len(names)} names of {kind}s were found"


def as_written(value):
    """A default of a header as the guide writes it; None for what is neither a number nor a time."""
    units = {"milliseconds": "ms", "seconds": "s", "minutes": "min", "hours": "h"}
    if time := re.fullmatch(r"std::chrono::(\w+)\((\d+)\)", value):
        return f"{time[2]} {units[time[1]]}"
    if not re.fullmatch(r"\d[\d']*", value):
        return None
    number = int(value.replace("'", ""))
    for unit, size in ("MiB", 1 << 20), ("KiB", 1 << 10):
        if number >= size and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number:,}".replace(",", " ") if number >= 10_000 else f"{number:_}".replace("_", " ")


def defaults(project):
    """{struct: {field: default as the guide writes it}} of the options that are limits or times."""
    headers = COMMENT.sub("", text_of_headers(project))
    found = {}
    for struct in OPTIONS:
        body = re.search(rf"^struct {struct} \{{(.*?)^\}};", headers, re.MULTILINE | re.DOTALL)
        fields = re.findall(r"(\w+) =\s+([^;]+);", body[1]) if body else []
        found[struct] = {name: text for name, value in fields if (text := as_written(value))}
    return found


def wrong_defaults(project, text):
    """Between the tables of limits and the headers. The paragraph before a table names its structs."""
    told = {}
    for before, option, default in column(text, "default"):
        for struct in set(re.findall(r"\w+", before)) & set(OPTIONS):
            for name in re.findall(r"`(\w+)`", option):
                told[struct, name] = default
    count = 0
    for struct, fields in defaults(project).items():
        for name, default in fields.items():
            count += 1
            there = told.get((struct, name))
            if there is None:
                yield f"{struct}::{name} is in no table"
            elif default not in there:
                yield f"the default of {struct}::{name} is {default}, not {there}"
    if count < 40:
        yield f"{count} options were found"


def main(project):
    texts = {page: page.read_text(encoding="utf-8") for page in pages(project)}
    known = known_names(project, texts.values())
    names = {page: names_in(text) for page, text in texts.items()}
    faults = []
    for page, text in texts.items():
        where = page.relative_to(project)
        faults += [f"{where}: {fault}" for fault in misquoted(project, text)]
        faults += [f"{where}: nothing is called {name}" for name in sorted(names[page] - known)]
    if sum(map(len, names.values())) < 200:
        faults.append("fewer than 200 names were found")
    guide = [text for page, text in texts.items() if page.parent != project]
    faults += differences(project, guide)
    faults += [f"{LIMITS}: {fault}" for fault in wrong_defaults(project, texts[project / LIMITS])]
    return faults


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = main(pathlib.Path(sys.argv[1]).resolve())
    sys.exit("\n".join(found) if found else 0)
