#!/bin/sh
# Doxygen reads a file through this (Doxyfile, INPUT_FILTER): FILE, without a change of its lines.
set -eu

# All that a folder of include/roost declares is one group; cmake/docs/reference.dox describes it.
folder=${1#*include/roost/}
group=${folder%%/*}
[ "$folder" != "$1" ] && [ "$group" != "$folder" ] || group=base

# Our comments have the text of a paragraph on the line of its title, which doxygen takes for all of
# the title.
exec sed -E \
  -e 's/@par Thread safety +/@threadsafety /' \
  -e 's/@par (Errors|Suspends|Cancellation|Lifetime|Arguments) +/@\L\1 /' \
  -e "s|^namespace roost(::testing)? \{\$|& /** @opengroup{$group} */|" \
  -e 's|^\}  // namespace roost(::testing)?$|/** @} */ &|' \
  "$1"
