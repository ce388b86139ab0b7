#!/bin/sh
# Builds the tests and runs them.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/test.sh [--no-install] [--help] [--] [option of ctest]...

Builds roost with its tests and examples (the preset "dev", with AddressSanitizer and
UndefinedBehaviorSanitizer) and runs all tests. Debian packages that are needed and not here are
named, then installed.

  --no-install   build and test only, install nothing
  --help         this text

Everything else goes to ctest, for example: sh cmake/test.sh -L unit
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
install_missing tests

cmake --preset dev
cmake --build --preset dev
# Many tests wait most of their time: for leases that end, links that are slow, Redis that fails over.
export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$((2 * $(nproc)))}"
exec ctest --preset dev "$@"
