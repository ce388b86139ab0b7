#!/bin/sh
# Builds the soak's server and lets a hostile world loose on it.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/soak.sh [--no-install] [--help] MINUTES [--] [option of the soak]...

Three replicas joined by a Redis with Sentinels, whose primary is killed again and again, as one of the
replicas is, among thousands of clients that chat, stall, flood, break the rules and vanish. Those that
behave must get every message in order, and those of a room with a history also across reconnects;
afterwards memory, open files and counters must be back where they began. A fourth of the time goes
by before these are noted first.

  --no-install   build and run only, install nothing
  --help         this text; "sh cmake/soak.sh 1 -- --help" tells the options: "--seed" repeats a run
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh

case ${1-} in
  '' | *[!0-9.]*)
    usage >&2
    exit 1
    ;;
esac
minutes=$1
shift
install_missing soak

build=build/soak
cmake --preset release -B $build -DROOST_BUILD_SOAK=ON -DROOST_BUILD_TESTS=OFF \
  -DROOST_BUILD_EXAMPLES=OFF --log-level=WARNING >/dev/null
cmake --build $build --target soak_server
exec /usr/bin/python3 tests/soak/soak.py --server $build/soak_server --minutes "$minutes" "$@"
