#!/bin/sh
# Builds the fuzzers and runs them.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/fuzz.sh [--no-install] [--help] [SECONDS] [TARGET]...

Builds the libFuzzer targets of tests/fuzz with clang, ASan and UBSan into build/fuzz, and lets each
search for so many seconds (15 if not said), as many at a time as there are cores. Without a TARGET all
of them; their names are those of the files.

  --no-install   build and run only, install nothing
  --help         this text

The inputs that a target has found stay in build/fuzz/corpus. An input on which it fails is kept in
build/fuzz/failures, and named: "build/fuzz/fuzzers/TARGET FILE" runs it again.
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh

seconds=15
case ${1-} in
  '' | *[!0-9]*) ;;
  *)
    seconds=$1
    shift
    ;;
esac
if [ $# = 0 ]; then
  for file in tests/fuzz/*.cpp; do
    set -- "$@" "$(basename "$file" .cpp)"
  done
fi
for target do
  if [ ! -f "tests/fuzz/$target.cpp" ]; then
    echo "There is no target \"$target\": they are the files tests/fuzz/*.cpp" >&2
    exit 1
  fi
done
install_missing fuzzers

build=build/fuzz
cmake -G Ninja -S . -B $build -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Fuzz \
  -DROOST_BUILD_FUZZERS=ON -DROOST_BUILD_TESTS=OFF -DROOST_BUILD_EXAMPLES=OFF \
  --log-level=WARNING >/dev/null
# shellcheck disable=SC2046 # a list of words
cmake --build $build --target $(printf 'fuzz_%s ' "$@")

mkdir -p $build/failures $build/logs
fuzz_one() { # <target>
  mkdir -p "$build/corpus/$1"
  if "$build/fuzzers/$1" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$build/failures/$1-" "$build/corpus/$1" "tests/fuzz/seeds/$1" \
    >"$build/logs/$1" 2>&1; then
    echo "$1: $(grep '^Done ' "$build/logs/$1")"
  else
    echo "$1: FAILED"
    tail -n 60 "$build/logs/$1"
    return 1
  fi
}

# One process for each core takes what is next; a mark for each that fails.
rm -f "$build"/logs/failed.*
at_once=$(nproc)
for target do
  while [ "$(jobs -p | wc -l)" -ge "$at_once" ]; do
    sleep 0.2
    jobs >/dev/null # forgets those that have ended
  done
  { fuzz_one "$target" || touch "$build/logs/failed.$target"; } &
done
wait
for mark in "$build"/logs/failed.*; do
  [ -e "$mark" ] || continue
  echo "Inputs that fail are in $build/failures." >&2
  exit 1
done
