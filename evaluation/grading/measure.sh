#!/bin/bash
# Grades the same predictions three times and puts the verdicts side by side (README.md here).
#
#     bash evaluation/grading/measure.sh ROWS.jsonl REPOS OUT [-j N] [kind]...
#
# ROWS.jsonl and the images are made by build.py, REPOS holds the repositories. AGENT names the binary [agent].
# Goes on where it stopped: verdicts that are there are not made anew.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 3 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
rows=$(realpath -- "$1") repos=$2 out=$3
shift 3
jobs=4
if [ "${1-}" = -j ]; then
    jobs=$2
    shift 2
fi
kinds=("$@")
[ ${#kinds[@]} -gt 0 ] || kinds=(gold empty partial broken malicious)
agent=${AGENT:-agent}

mkdir -p "$out"
python3 -B "$here/predictions.py" "$rows" --repos "$repos" -o "$out/predictions" >&2
for kind in "${kinds[@]}"; do
    predictions=$out/predictions/$kind.jsonl
    # 1 is the exit code of a run in which some predictions failed: some are made to.
    "$agent" evaluate "$rows" -p "$predictions" -o "$out/agent/$kind" -j "$jobs" || [ $? = 1 ]
    "$agent" evaluate "$rows" -p "$predictions" --compat -o "$out/compat/$kind" -j "$jobs" || [ $? = 1 ]
    bash "$here/../official.sh" "$rows" "$predictions" "$kind" "$out/official" -j "$jobs"
    python3 -B "$here/../compare_grades" "$out/compat/$kind" "$out/official/$kind.$kind.json" || [ $? = 1 ]
done
