#!/bin/sh
# Joins the parts into RUN. What was joined before comes first: verdicts may lie there.
set -eu

set --
[ -e "$RUN/run.json" ] && set -- "$RUN"
for part in "$RUN".parts/*/; do
  [ -e "$part/run.json" ] && set -- "$@" "${part%/}"
done
[ $# -gt 0 ] || { echo "no index has begun in $RUN.parts" >&2; exit 3; }
new=$RUN.new.$$
rm -rf "$new"
if [ $# = 1 ]; then
  cp -a "$1" "$new"
else
  agent merge "$@" --prefer last -o "$new"
fi
if [ -e "$RUN" ]; then
  mv "$RUN" "$RUN.old.$(date -u +%Y%m%dT%H%M%SZ)"
fi
mv "$new" "$RUN"
agent status "$RUN"
