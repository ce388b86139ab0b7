"""Writes the code blocks of the README and of the guide to files, so that they can be built and run.

Usage: extract.py FOLDER_OF_THE_PROJECT FOLDER FILE...

A block of README.md is written to FOLDER/README, one of cmake/docs/redis.md to FOLDER/redis, and so on.
FILE... are the files that the pages must give, such as README/server.cpp: no more and no less. The comment
in the line before a fenced block says what becomes of it:

    <!-- compiled: NAME.cpp -->      written to NAME.cpp, or .hpp
    <!-- cmake: NAME -->             written to NAME.cmake; blocks of one page with the same name follow
                                     one another
    <!-- compiled in: NAME.cpp -->   becomes the body of a coroutine in FOLDER/NAME.cpp, together with
                                     those of all pages; what it may use is in tests/readme/NAME.hpp
    <!-- from: PATH -->              its lines are those of a file of the project, see guide_test.py
    <!-- fragment -->                shown only

C++ without such a comment is an error: it would be code that nobody has compiled.
"""

import pathlib
import re
import sys

MARKER = re.compile(r"<!--\s*(?:(compiled|compiled in|cmake|from):\s*(\S+)|(fragment))\s*-->")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\w*)")


class Mistake(Exception):
    pass


def pages(project):
    """Yields README.md and the pages of the guide, by their paths."""
    yield project / "README.md"
    yield from sorted((project / "cmake/docs").glob("*.md"))


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


def folder_of(page):
    """The name of the folder for the code of a page. The index of the guide is a README.md, too."""
    return "index" if page.name == "README.md" and page.parent.name == "docs" else page.stem


def snippet(page, number, content, counter):
    """A coroutine with the lines of a block, in which a compiler's messages name the page."""
    return (f"boost::asio::awaitable<void> snippet_{counter}(World world) {{\n"
            f"  ROOST_USE_WORLD\n"
            f"#line {number + 1} \"{page.name}\"\n"
            + "".join(f"  {line}".rstrip() + "\n" for line in content) +
            "  co_return;\n}\n\n")


def extract(page, text, files):
    """Adds the code of a page to files, which is {file name: content}."""
    for number, before, language, content in blocks(text.splitlines()):
        marker = MARKER.fullmatch(before)
        if marker is None:
            if language in ("cpp", "c++", "cxx"):
                raise Mistake(f"line {number}: C++ without a comment that says where it is from")
            continue
        kind, name, is_fragment = marker.groups()
        if is_fragment or kind == "from":
            continue
        name = name + ".cmake" if kind == "cmake" else name
        if not re.fullmatch(r"\w+\.(cpp|hpp|cmake)", name):
            raise Mistake(f"line {number}: {name} is not a plain file name")
        if kind == "compiled in":
            so_far = files.get(name, f'#include "{pathlib.Path(name).stem}.hpp"\n\n')
            files[name] = so_far + snippet(page, number, content, so_far.count("> snippet_") + 1)
            continue
        name = f"{folder_of(page)}/{name}"
        if name in files and kind == "compiled":
            raise Mistake(f"line {number}: a second block for {name}")
        files[name] = files.get(name, "") + "".join(line + "\n" for line in content)


def main(project, folder, *wanted):
    files = {}
    for page in pages(pathlib.Path(project)):
        try:
            extract(page, page.read_text(encoding="utf-8"), files)
        except Mistake as mistake:
            raise Mistake(f"{page}: {mistake}") from None
    if missing := set(wanted) - set(files):
        raise Mistake(f"no block for {', '.join(sorted(missing))}")
    if unknown := set(files) - set(wanted):
        raise Mistake(f"no test knows of {', '.join(sorted(unknown))}")
    for name, content in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != content:  # else built again
            path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Mistake as mistake:
        sys.exit(str(mistake))
