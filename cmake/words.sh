#!/bin/sh
# Finds phrases that a reader has to read twice.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/words.sh [--help] [FOLDER or FILE]...

Reads the comments of the code, the pages, the log texts and the names of tests, in the whole project
or in what is named, and prints each phrase that it finds as "file:line: advice: sentence":

  - the brief of a documentation comment that begins with "The same" or "Likewise"
  - "Who", "What", "Whoever" or "Whatever" as the subject of a sentence that is not a question
  - "is no" before a noun, and "belongs" before "into"

It ends with 1 if it finds any. Python is needed, as /usr/bin/python3. tests/boundary/words_test.py
has examples of what it finds and of what it lets pass.
END
}

[ "${1-}" != --help ] || { usage; exit; }
cd "$(dirname "$0")/.."
exec /usr/bin/python3 tests/boundary/words.py . "$@"
