#!/usr/bin/env bash
# Ranks a dataset's files with everything and with each group of lists left out, and prints the table.
#
#   evaluation/localization/ablation.sh AGENT ROWS REPOS OUT [GROUP...]
#
# Lists that OUT already holds are kept: a stopped run goes on, a changed engine needs a new OUT.
set -euo pipefail

if [ $# -lt 4 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
agent=$1 rows=$2 repos=$3 out=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
groups=(lexical chunks path definitions mentions strings history imports tests)
[ $# -eq 0 ] || groups=("$@")

# The setting that leaves a group of lists out; the only place that spells it.
switch() { printf 'localize.without=%s' "$1"; }

rank() {
  local name=$1
  shift
  [ ! -s "$out/$name.jsonl" ] || return 0
  printf '== %s\n' "$name" >&2
  # Status 1: some instances could not be ranked. They are misses, and the table says how many.
  "$agent" localize "$rows" --no-model --repos "$repos" --quiet -o "$out/$name.part" "$@" || [ $? -eq 1 ]
  mv "$out/$name.part" "$out/$name.jsonl"
}

mkdir -p "$out"
rank full
for group in "${groups[@]}"; do
  rank "without-$group" --set "$(switch "$group")"
done
python3 "$here/ablate.py" "$rows" "$out" --markdown
