"""Checks that each relative link in the README, in the guide and in the files of .github points to a file
that exists, and to a heading of it where the link names one.

Usage: links_test.py FOLDER_OF_THE_PROJECT
"""

import pathlib
import re
import sys

from extract import pages

LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*?$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
WITH_A_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def without(pattern, text):
    """The text without what the pattern finds, and with as many lines as before."""
    return pattern.sub(lambda match: "\n" * match[0].count("\n"), text)


def anchors(text):
    """The names of the headings, as GitHub makes them: the second of a name gets -1."""
    names = set()
    for heading in HEADING.findall(without(FENCED, text)):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)  # a link is shown by its text
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = 0
        while (numbered := f"{name}-{count}" if count else name) in names:
            count += 1
        names.add(numbered)
    return names


def links(text):
    """Yields (line number, target) of each link that stays within the project."""
    text = without(CODE, without(FENCED, text))
    for match in LINK.finditer(text):
        if not WITH_A_SCHEME.match(match[1]):
            yield text.count("\n", 0, match.start()) + 1, match[1]


def faults(project):
    count = 0
    for page in [*pages(project), *sorted((project / ".github").glob("*.md"))]:
        for number, target in links(page.read_text(encoding="utf-8")):
            count += 1
            where = f"{page.relative_to(project)}: line {number}"
            path, _, anchor = target.partition("#")
            to = (page.parent / path).resolve() if path else page
            if not to.exists():
                yield f"{where}: there is no {path}"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to.read_text("utf-8")):
                yield f"{where}: {path or page.name} has no heading #{anchor}"
    if count < 30:
        yield f"{count} links were found"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(faults(pathlib.Path(sys.argv[1]).resolve()))
    sys.exit("\n".join(found) if found else 0)
