#!/bin/sh
# Checks the headers with clang; g++ builds everything else.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/clang.sh [--no-install] [--help] [headers|tidy]

  headers   every public header compiles alone, without a warning (clang++ -fsyntax-only), and
            without the bodies, which include more than it does
  tidy      clang-tidy finds nothing in the library (.clang-tidy says what it looks for)

Without an argument: both. Missing packages are named, then installed: Debian's packages clang and
clang-tidy, version 14 or later, and what the library needs with all its components. CLANGXX and
CLANG_TIDY name other commands.

  --no-install   check only, install nothing
  --help         this text
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
clang=${CLANGXX:-clang++}
tidy=${CLANG_TIDY:-clang-tidy}
options='-std=c++20 -Iinclude -Wall -Wextra -Wpedantic -Wshadow -Wconversion'

# src.hpp is for the one file that compiles all that is not a template. Headers in a folder of a
# folder are internal: the public ones include them.
public_headers() {
  git ls-files --cached --others --exclude-standard 'include/*.hpp' |
    grep -v -e 'src\.hpp$' -e 'include/roost/[a-z]*/[a-z]*/'
}

headers() {
  install_missing clang
  # shellcheck disable=SC2086 # a list of options
  public_headers | xargs -P "$(nproc)" -I '{}' \
    $clang $options -Werror -DROOST_SEPARATE_COMPILATION -fsyntax-only -include '{}' -x c++ /dev/null
}

# One file with all of it: what the headers share is parsed once.
check_tidy() {
  install_missing tidy
  mkdir -p build/clang
  file=build/clang/all.cpp
  public_headers | sed 's|^include/\(.*\)|#include <\1>|' >$file
  echo 'template class roost::ConnectionManager<roost::testing::FakeWebSocket>;' >>$file
  # shellcheck disable=SC2086
  $tidy --quiet --warnings-as-errors='*' --header-filter='include/roost/' $file -- $options
}

case ${1-all} in
  headers) headers ;;
  tidy) check_tidy ;;
  all) headers; check_tidy ;;
  *) echo "clang.sh: headers or tidy, not '$1'" >&2; exit 2 ;;
esac
