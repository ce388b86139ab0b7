"""The headers keep their shape: short files, few includes and friends, bodies beside their headers, and names for users
in the headers at folder level only. No header brings an optional part along."""

import re
import sys
from pathlib import Path

LONGEST = 400  # lines of a file
MOST_INCLUDES = 20  # one line of so many, over all files
MOST_FRIENDS = 5
# What users must include themselves: the headers at the top must not bring it, but `redis.hpp` the backplane.
OPTIONAL = {"backplane/local_backplane.hpp", "backplane/local_presence.hpp", "redis/redis_backplane.hpp",
            "redis/history.hpp", "redis/presence.hpp", "redis/registry.hpp"}
BRINGS = {"redis.hpp": {"redis/redis_backplane.hpp"}}
INCLUDE = re.compile(r"\s*#\s*include\b")
INCLUDED = re.compile(r'^\s*#\s*include\s*[<"]roost/([^">]+)[">]', re.M)
FRIEND = re.compile(r"\s*friend\b")
INTERNAL = re.compile(r"^namespace (?:roost::)?detail \{$.*?^\}  // namespace (?:roost::)?detail$", re.M | re.S)
FORWARD = re.compile(r"^(?:template <.*>\n)?(?:class|struct) \w+;\n", re.M)
PUBLIC = re.compile(r"^namespace roost(?!::detail)[\w:]* \{\n(?!\s*\}  // namespace)", re.M)


def faults_of_names(path, name, text):
    """Names for users are in the headers of a folder, internal ones in those of its subfolders."""
    if path.suffix != ".hpp" or name.endswith("src.hpp"):  # these compile a component
        return
    has_public = PUBLIC.search(FORWARD.sub("", INTERNAL.sub("", text)))
    if name.count("/") == 1 and not has_public:
        yield f"{path}: has internal names only, so a subfolder is the place for it"
    if "ROOST_WHEN_USED" in INTERNAL.sub("", text) and not name.startswith("base/build/"):
        yield f"{path}: ROOST_WHEN_USED is for internal functions: users' are the same in both kinds of build"
    if name.count("/") >= 2 and has_public:
        yield f"{path}: has names that are not internal, so the folder is the place for it"


def reached(roost, name):
    """The headers that a file with `name` compiles, header-only."""
    seen, new = set(), {name}
    while new:
        seen |= new
        new = {other for of in new for other in INCLUDED.findall((roost / of).read_text())} - seen
    return seen


def faults(roost):
    for name in sorted(path.name for path in roost.glob("*.hpp")):
        if name == "src.hpp":  # compiles all of the core
            continue
        for optional in sorted(reached(roost, name) & OPTIONAL - BRINGS.get(name, set())):
            yield f"{roost / name}: brings {optional}, for programs that do not use it too"
    lines, includes, friends = 0, [], []
    for path in sorted(roost.rglob("*.?pp")):
        name = path.relative_to(roost).as_posix()
        text = path.read_text()
        of_file = text.splitlines()
        lines += len(of_file)
        includes += [line for line in of_file if INCLUDE.match(line)]
        friends += [f"{path}:{number}" for number, line in enumerate(of_file, 1) if FRIEND.match(line)]
        if len(of_file) > LONGEST:
            yield f"{path}: has {len(of_file)} lines, {LONGEST} are allowed"
        if path.suffix == ".ipp" and not path.with_suffix(".hpp").is_file():
            yield f"{path}: there is no {path.with_suffix('.hpp').name} beside it"
        yield from faults_of_names(path, name, text)
    if len(includes) * MOST_INCLUDES > lines:
        yield f"{roost}: {len(includes)} of {lines} lines are includes, one of {MOST_INCLUDES} is allowed"
    if len(friends) > MOST_FRIENDS:
        yield f"{roost}: has {len(friends)} friends, {MOST_FRIENDS} are allowed: {', '.join(friends)}"


found = list(faults(Path(sys.argv[1]).resolve()))
print("\n".join(found) or "the headers are in good shape")
sys.exit(bool(found))
