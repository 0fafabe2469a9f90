#!/bin/sh
# Joins the parts into RUN.
set -eu

set --
for part in "$RUN".parts/*/; do
  [ -e "$part/run.json" ] && set -- "$@" "${part%/}"
done
[ $# -gt 0 ] || { echo "no index has begun in $RUN.parts" >&2; exit 3; }
new=$RUN.new.$$
rm -rf "$new"
join() {
  if [ $# = 1 ]; then
    cp -a "$1" "$new"
  else
    agent merge "$@" --prefer last -o "$new"
  fi
}
# Verdicts of `agent evaluate` may lie in what was joined before. It was made under other settings if it
# does not fit, and is put aside.
if [ ! -e "$RUN/run.json" ] || ! join "$RUN" "$@"; then
  join "$@"
fi
if [ -e "$RUN" ]; then
  mv "$RUN" "$RUN.old.$(date -u +%Y%m%dT%H%M%SZ)"
fi
mv "$new" "$RUN"
agent status "$RUN"
