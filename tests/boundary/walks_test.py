"""CONTRIBUTING.md shows what is there: its walks through the code, and its table of what the README says, name files
and functions that exist; the table leaves out nothing that the README lists; and each folder is there, with the
subfolders that are named with it."""

import re
import sys
from pathlib import Path


def faults_of_names(page, text, roost):
    """Each name in `text` is a file, or is in the file before it."""
    file = None
    for name in re.findall(r"`([^`]+)`", text):
        if name.endswith((".hpp", ".ipp")):
            file = roost / name
            if not file.is_file():
                yield f"{page}: there is no {name}"
        elif file is None or (file.is_file() and not re.search(
                rf"\b{name}(\(| = )|\b(class|struct) {name}\b", file.read_text())):
            yield f"{page}: there is no {name} in {file}"


def faults_of_folders(page, text, roost):
    rows = re.findall(r"^\| \d \| `(\w+)` \| (.*) \|$", text, re.M)
    for folder in sorted({path.name for path in roost.iterdir() if path.is_dir()} - {folder for folder, _ in rows}):
        yield f"{page}: it does not say what is in {folder}"
    for folder, about in rows:
        named = set(re.findall(r"`(\w+)/`", about))
        there = {path.name for path in (roost / folder).iterdir() if path.is_dir()} - {"detail"}
        for name in sorted(named ^ there):
            yield f"{page}: {'there is no' if name in named else 'it does not say what is in'} {folder}/{name}"


def faults(page, roost, readme):
    text = page.read_text()
    yield from faults_of_folders(page, text, roost)
    walks = re.findall(r"^\d+\. \*\*.*?\*\*(.*?)(?=^\d+\. |^\||\Z)", text, re.M | re.S)
    if not walks:
        yield f"{page}: there are no walks"
    for walk in walks:
        yield from faults_of_names(page, walk, roost)

    table = re.search(r"^\| the README says \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    rows = [row.split("|")[1:-1] for row in table[1].splitlines()] if table else []
    if not rows:
        yield f"{page}: there is no table of what the README says"
    for claim, *places in rows:
        if not any(re.search(r"`|\]\(", place) for place in places):
            yield f"{page}: it does not say where '{claim.strip()}' is"
        for place in places:
            yield from faults_of_names(page, place, roost)
    listed = re.search(r"^## What you get\n(.*?)^## ", readme.read_text(), re.M | re.S)[1]
    told = {title for claim, *_ in rows for title in re.findall(r"\*\*(.+?)\*\*", claim)}
    for title in re.findall(r"^- \*\*(.+?)\.\*\*", listed, re.M):
        if title not in told:
            yield f"{page}: it does not say where '{title}' of the README is"


page = Path(sys.argv[1]).resolve()
found = list(faults(page, Path(sys.argv[2]).resolve(), page.parent.parent / "README.md"))
print("\n".join(found) or "all that is named can be found")
sys.exit(bool(found))
