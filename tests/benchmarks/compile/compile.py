# SPDX-License-Identifier: MIT
"""How much longer a file compiles with roost than the same file with only the Asio and JSON headers
that roost needs: CPU seconds of the compiler, the least of some rounds in turn. Header-only, and
where what files share is compiled once for the program (ROOST_SEPARATE_COMPILATION)."""

import argparse
import re
import resource
import shlex
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parents[2] / "include"
WANTED = 1.3  # at most, compiled once
WITH_ROOST = HERE / "manager.cpp"
THIRD_PARTY = re.compile(r"#include (<(?:boost/asio|nlohmann)/[^>]+>)")
BASELINE_MAIN = """int main() {
  boost::asio::io_context context;
  const boost::asio::any_io_executor executor = context.get_executor();
  return executor ? 0 : 1;
}
"""
MODES = {"header-only": [], "compiled once": ["-DROOST_SEPARATE_COMPILATION"]}


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
    compiler = [*shlex.split(arguments.compiler), "-std=c++20", f"-I{INCLUDE}"]

    with tempfile.TemporaryDirectory() as folder:
        def compiled(command, source):
            return cpu_seconds(command, source, Path(folder, "object.o"))

        commands = {mode: [*compiler, *flags] for mode, flags in MODES.items()}
        baselines = {}
        for number, (mode, command) in enumerate(commands.items()):
            baselines[mode] = Path(folder, f"baseline{number}.cpp")
            baselines[mode].write_text(
                "".join(f"#include {header}\n" for header in headers_of(command)) +
                BASELINE_MAIN)
        without = dict.fromkeys(MODES, float("inf"))
        with_roost = dict.fromkeys(MODES, float("inf"))
        for _ in range(arguments.rounds):
            for mode, command in commands.items():
                without[mode] = min(without[mode], compiled(command, baselines[mode]))
                with_roost[mode] = min(with_roost[mode], compiled(command, WITH_ROOST))

    print(f"{'':16} without   roost   ratio")
    ratios = {mode: with_roost[mode] / without[mode] for mode in MODES}
    for mode, ratio in ratios.items():
        print(f"{mode:16} {without[mode]:5.2f} s {with_roost[mode]:5.2f} s {ratio:7.2f}")
    print(f"(wanted: at most {WANTED} where it is compiled once)")


main()
