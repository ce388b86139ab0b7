#!/bin/sh
# Builds the benchmarks and runs them.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/bench.sh [--no-install] [--help] [--] [option of the benchmark]...
       sh cmake/bench.sh [--no-install] micro [option of Google Benchmark]...
       sh cmake/bench.sh [--no-install] count [option]...
       sh cmake/bench.sh [--no-install] redis [--quick]
       sh cmake/bench.sh [--no-install] history [--quick]
       sh cmake/bench.sh [--no-install] compile [--rounds N] [--compiler COMMAND]

Builds roost and the servers that it is compared with into build/bench, optimised, and measures
them over loopback sockets: a server on one core, the load on another. Prints a table and writes
build/bench/result.json. All of it takes hours: "--list" names the shapes, "--shape" chooses.

  --no-install   build and measure only, install nothing
  --help         this text; "sh cmake/bench.sh -- --help" is about the rest
  --quick        some small shapes for moments: whether it works, not how fast
  micro          what single calls cost, without sockets
  count          instructions and allocations of a connection and of a message; is done, too, when
                 all shapes are measured
  redis          the Redis backplane, beside redis-benchmark; and what a history in Redis costs
  history        what recorded messages cost, and many clients that come back at once
  compile        how long a file with roost compiles, beside one with the headers that it needs

Leave the machine alone meanwhile. For example: sh cmake/bench.sh --shape '1000-1room-*'
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
install_missing benchmarks

if [ "${1-}" = compile ]; then
  shift
  exec /usr/bin/python3 tests/benchmarks/compile/compile.py "$@"
fi

build=build/bench
cmake --preset release -B $build -DROOST_BUILD_BENCHMARKS=ON -DROOST_BUILD_TESTS=OFF \
  -DROOST_BUILD_EXAMPLES=OFF --log-level=WARNING >/dev/null
cmake --build $build

if [ "${1-}" = micro ]; then
  shift
  if [ ! -x $build/benchmarks/micro ]; then
    echo 'micro needs Google Benchmark: libbenchmark-dev' >&2
    exit 1
  fi
  exec $build/benchmarks/micro "$@"
fi

if [ "${1-}" = count ]; then
  shift
  exec /usr/bin/python3 tests/benchmarks/count.py --build $build "$@"
fi

if [ "${1-}" = redis ]; then
  shift
  exec /usr/bin/python3 tests/benchmarks/redis/bench.py --build $build "$@"
fi

if [ "${1-}" = history ]; then
  shift
  exec /usr/bin/python3 tests/benchmarks/history/bench.py --build $build "$@"
fi

# The ws package, where there is Node.js; it is left out elsewhere.
# shellcheck disable=SC2154 # of setup.sh
if [ "$install" = yes ] && [ ! -d $build/node_modules/ws ]; then
  if have_command node && have_command npm; then
    npm install --prefix $build --no-audit --no-fund --silent ws@8 ||
      echo 'npm could not install ws' >&2
  else
    echo 'There is no node and npm here: the ws package is not measured.'
  fi
fi

exec /usr/bin/python3 tests/benchmarks/bench.py --build $build "$@"
