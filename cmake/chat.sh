#!/bin/sh
# From a fresh clone to a running chat, in one command.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/chat.sh [--no-install] [--help] [--] [option of the chat server]...

Builds examples/chat and starts it. Debian packages that the build needs and that are not here
are named, then installed.

  --no-install   build only, install nothing
  --help         this text; "sh cmake/chat.sh -- --help" builds the server and asks it for its own

Everything else goes to the server, for example: sh cmake/chat.sh --port 9000
END
}

cd "$(dirname "$0")/.."
. cmake/setup.sh
install_missing

# A folder of its own: without the tests, it does not need what they need.
cmake --preset release -B build/chat -DROOST_BUILD_TESTS=OFF --log-level=WARNING >/dev/null
cmake --build build/chat --target chat
exec build/chat/examples/chat "$@"
