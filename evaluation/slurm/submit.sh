#!/usr/bin/env bash
# Submits the array and the job that joins its parts:
#
#   DATASET=verified RUN=/shared/runs/a SHARDS=16 bash evaluation/slurm/submit.sh \
#     --base-url http://gpu-1:8000/v1 --samples 40 --tests 20
#
# The variables are those at the top of array.sbatch; further options of sbatch go into SBATCH_FLAGS.
# The same command again goes on with what is not finished. ARRAY=3,5 takes up some tasks alone.
set -euo pipefail
cd "$(dirname "$0")"

export SHARDS=${SHARDS:-8}
export RUN=${RUN:-$OLDPWD/runs/slurm}
case $RUN in /*) ;; *) RUN=$OLDPWD/$RUN ;; esac
read -ra more <<<"${SBATCH_FLAGS:-}"
mkdir -p "$RUN.logs"

array=$(sbatch --parsable --array="${ARRAY:-0-$((SHARDS - 1))}" --chdir="$OLDPWD" \
  --output="$RUN.logs/%A_%a.log" "${more[@]}" array.sbatch "$@")
array=${array%%;*}
merge=$(sbatch --parsable --dependency="afterany:$array" --chdir="$OLDPWD" \
  --output="$RUN.logs/merge-%j.log" "${more[@]}" merge.sbatch)
echo "array $array, then merge ${merge%%;*}; logs in $RUN.logs"
