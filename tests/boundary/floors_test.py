"""The folders of include/roost depend downwards only: no include leads to a folder of the same floor or of one above."""

import re
import sys
from pathlib import Path

FLOORS = [
    ["base"],
    ["access", "socket", "runtime"],
    ["manager", "testing"],
    ["beast", "backplane", "heartbeat"],
    ["redis", "service"],
    ["prometheus"],
]
FLOOR = {folder: floor for floor, folders in enumerate(FLOORS, 1) for folder in folders}
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]roost/([^">]+)[">]')
# What users include, and what compiles all of a component: these stand above the floors.
ABOVE = {"beast/src.hpp", "beast/tls.hpp", "beast/tls_src.hpp", "redis/src.hpp", "testing/src.hpp"}


def faults(roost):
    for path in sorted(roost.rglob("*.?pp")):
        name = path.relative_to(roost).as_posix()
        folder = name.split("/")[0]
        if "/" not in name or name in ABOVE:
            continue
        if folder not in FLOOR:
            yield f"{path}: the folder {folder} is on no floor"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            included = INCLUDE.match(line)
            if not included or included[1] == "version.hpp":
                continue
            below = included[1].split("/")[0]
            if below != folder and FLOOR.get(below, len(FLOORS)) >= FLOOR[folder]:
                yield f"{path}:{number}: {folder} may not include {included[1]}"


found = list(faults(Path(sys.argv[1]).resolve()))
print("\n".join(found) or "no include leads upwards")
sys.exit(bool(found))
