"""Writes the code blocks of a README to files, so that they can be built and run.

Usage: extract.py README FOLDER FILE...

FILE... are the files that the README must give, no more and no less. What becomes of a fenced block
is said by the comment in the line before it:

    <!-- compiled: NAME.cpp -->   written to NAME.cpp
    <!-- cmake: NAME -->          written to NAME.cmake
    <!-- from: PATH -->           its lines are those of a file of the project, see guide_test.py
    <!-- fragment -->             shown only

C++ without such a comment is an error: it would be code that nobody has compiled.
"""

import pathlib
import re
import sys

MARKER = re.compile(r"<!--\s*(?:(compiled|cmake|from):\s*(\S+)|(fragment))\s*-->")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\w*)")


class Mistake(Exception):
    pass


def blocks(lines):
    """Yields (line number, the last line of text before it, language, lines) of each block."""
    fence, start, before = None, 0, ""
    for number, line in enumerate(lines, 1):
        opening = FENCE.match(line)
        if fence is not None:
            if opening and opening[1].startswith(fence) and line.strip() == opening[1]:
                yield start, before, language, content
                fence, before = None, ""
            else:
                content.append(line)
        elif opening:
            fence, language, start, content = opening[1], opening[2].lower(), number, []
        elif line.strip():
            before = line.strip()
            if MARKER.fullmatch(before) and not next_opens(lines, number):
                raise Mistake(f"line {number}: no code block follows {before}")
    if fence is not None:
        raise Mistake(f"line {start}: the code block has no end")


def next_opens(lines, number):
    rest = (line for line in lines[number:] if line.strip())
    return FENCE.match(next(rest, "")) is not None


def extract(text):
    """Returns {file name: content}."""
    files = {}
    for number, before, language, content in blocks(text.splitlines()):
        marker = MARKER.fullmatch(before)
        if marker is None:
            if language in ("cpp", "c++", "cxx"):
                raise Mistake(f"line {number}: C++ without a comment that says where it is from")
            continue
        kind, name, fragment = marker.groups()
        if fragment or kind == "from":
            continue
        name = name if kind == "compiled" else name + ".cmake"
        if not re.fullmatch(r"\w+\.(cpp|cmake)", name):
            raise Mistake(f"line {number}: {name} is not a plain file name")
        if name in files:
            raise Mistake(f"line {number}: a second block for {name}")
        files[name] = "".join(line + "\n" for line in content)
    return files


def main(readme, folder, *wanted):
    files = extract(pathlib.Path(readme).read_text(encoding="utf-8"))
    if missing := set(wanted) - set(files):
        raise Mistake(f"no block for {', '.join(sorted(missing))}")
    if unknown := set(files) - set(wanted):
        raise Mistake(f"no test knows of {', '.join(sorted(unknown))}")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:  # else built again
            path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Mistake as mistake:
        sys.exit(f"{sys.argv[1]}: {mistake}")
