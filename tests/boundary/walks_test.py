"""The walks through the code in CONTRIBUTING.md name files and functions that exist."""

import re
import sys
from pathlib import Path


def faults(page, roost):
    walks = re.findall(r"^\d+\. \*\*.*?\*\*(.*?)(?=^\d+\. |^\||\Z)", page.read_text(), re.M | re.S)
    if not walks:
        yield f"{page}: there are no walks"
    for walk in walks:
        file = None
        for name in re.findall(r"`([^`]+)`", walk):
            if name.endswith((".hpp", ".ipp")):
                file = roost / name
                if not file.is_file():
                    yield f"{page}: there is no {name}"
            elif file is None or (file.is_file() and not re.search(rf"\b{name}\(", file.read_text())):
                yield f"{page}: there is no {name} in {file}"


found = list(faults(Path(sys.argv[1]), Path(sys.argv[2]).resolve()))
print("\n".join(found) or "all of the walks can be followed")
sys.exit(bool(found))
