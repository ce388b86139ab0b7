# SPDX-License-Identifier: MIT
"""How much longer a file compiles with roost than with the Asio and JSON headers alone that roost
needs: CPU seconds of the compiler, the least of some rounds in turn."""

import argparse
import re
import resource
import shlex
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parents[2] / "include"
LIMIT = 1.3
WITH_ROOST = HERE / "manager.cpp"
THIRD_PARTY = re.compile(r"#include (<(?:boost/asio|nlohmann)/[^>]+>)")


def headers_of(command):
    """What the headers of roost that the file reaches include of Asio and nlohmann/json."""
    listed = subprocess.run([*command, "-M", WITH_ROOST], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    reached = [word for word in listed.split() if word.startswith(str(INCLUDE))]
    return sorted({header for file in reached
                   for header in THIRD_PARTY.findall(Path(file).read_text())})


def cpu_seconds(command, source, output):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "-c", source, "-o", output], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="c++ -O0", help="with its options (c++ -O0)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts (3)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds: at least 1, not {arguments.rounds}")
    command = [*shlex.split(arguments.compiler), "-std=c++20", f"-I{INCLUDE}"]

    with tempfile.TemporaryDirectory() as folder:
        baseline = Path(folder, "baseline.cpp")
        baseline.write_text("".join(f"#include {header}\n" for header in headers_of(command)) +
                            "int main() { boost::asio::io_context context; }\n")
        sources = {"Asio and nlohmann/json": baseline, "roost": WITH_ROOST}
        best = dict.fromkeys(sources, float("inf"))
        for _ in range(arguments.rounds):
            for name, source in sources.items():
                seconds = cpu_seconds(command, source, Path(folder, "object.o"))
                best[name] = min(best[name], seconds)

    for name, seconds in best.items():
        print(f"{name:24} {seconds:6.2f} s")
    without, with_roost = best.values()
    print(f"{'ratio':24} {with_roost / without:6.2f}   (at most {LIMIT})")
    return 0 if with_roost <= LIMIT * without else 1


raise SystemExit(main())
