#!/bin/sh
# Builds the reference.
set -eu

usage() {
  cat <<'END_OF_USAGE'
Usage: sh cmake/docs.sh [--no-install] [--help]

Makes the reference of all public names, out of the comments in the headers, into
build/docs/html/index.html. A public name without a comment is an error. Doxygen is installed if it
is missing.

  --no-install   install nothing
  --help         this text
END_OF_USAGE
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
if [ $# -gt 0 ]; then
  echo "docs.sh: unknown option: $1" >&2
  exit 2
fi
install_missing docs

output=build/docs
rm -rf $output
mkdir -p $output
version=$(sed -n 's/^#define ROOST_VERSION_[A-Z]* \([0-9]*\).*/\1/p' include/roost/version.hpp |
  paste -s -d .)
{
  cat cmake/docs/Doxyfile
  echo "PROJECT_NUMBER = $version"
  echo "OUTPUT_DIRECTORY = $output"
} | doxygen -
echo "$output/html/index.html"
