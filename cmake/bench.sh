#!/bin/sh
# Builds the benchmarks, optimised, and runs one.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/bench.sh [--no-install] [--help] [--] NAME [option of the benchmark]...

Builds the benchmark NAME with -O2 and runs it. Debian packages that are needed and not here are
named, then installed.

  fan_out        one message to many, over real sockets: roost, Beast as most use it, and a server
                 without any library; needs two cores
  idle           what a heartbeat costs with 10 000 connections that say nothing
  --no-install   build and run only, install nothing
  --help         this text; "sh cmake/bench.sh -- idle --help" tells its options

For example: sh cmake/bench.sh fan_out --rounds 3 --shape "16 in flight"
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
case ${1-} in
  fan_out | idle) name=$1; shift ;;
  *) usage >&2; exit 2 ;;
esac
install_missing

cmake --preset release -B build/bench -DROOST_BUILD_TESTS=OFF -DROOST_BUILD_EXAMPLES=OFF \
  -DROOST_BUILD_BENCHMARKS=ON --log-level=WARNING >/dev/null
cmake --build build/bench --target "$name"
case $name in
  fan_out) exec /usr/bin/python3 tests/benchmarks/fan_out.py build/bench/tests/benchmarks "$@" ;;
  *) exec "build/bench/tests/benchmarks/$name" "$@" ;;
esac
