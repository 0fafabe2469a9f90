#!/usr/bin/env bash
# Checks the manifests without a cluster: every variant is put together by kustomize and held against the
# schemas of Kubernetes; and the pods' scripts are run, index by index, over the dataset `sample`.
#
#   bash evaluation/kubernetes/check.sh [AGENT]
#
# What is missing is skipped, and said: kubectl, kubernetes-validate (taken from PyPI if pip can), the
# binary.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
AGENT=$(realpath -m -- "${1:-$here/../../target/release/agent}")
cd "$here"
VARIANTS=(base dind podman remote merge)
# The first that knows every field (sidecars, AppArmor profiles), and the newest known.
VERSIONS=(1.30 1.37)

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

for file in check.sh base/run.sh merge/merge.sh; do
  bash -n "$file"
done
if command -v shellcheck >/dev/null; then
  shellcheck check.sh base/run.sh merge/merge.sh
else
  echo "skipped: no shellcheck"
fi

# A pod cannot read the number of completions, so it stands there twice; the merge has its own RUN.
number() { sed -n "s/$1//p" base/job.yaml | tr -d ' "'; }
completions=$(number '^ *completions: ')
told=$(grep -A1 'name: JOB_COMPLETIONS' base/job.yaml | sed -n 's/.*value: //p' | tr -d '"')
[ "$completions" = "$told" ] || { echo "completions $completions, JOB_COMPLETIONS $told" >&2; exit 1; }
run=$(sed -n 's/^RUN=//p' base/settings.env)
grep -q "value: $run\$" merge/job.yaml || { echo "merge/job.yaml has another RUN" >&2; exit 1; }

if command -v kubectl >/dev/null; then
  for variant in "${VARIANTS[@]}"; do
    kubectl kustomize "$variant" >"$place/$variant.yaml"
  done
else
  echo "skipped: no kubectl, so the patches of the engines are not applied"
  cp base/storage.yaml base/job.yaml "$place"
  cp merge/job.yaml "$place/merge.yaml"
fi

validate=$(command -v kubernetes-validate || true)
if [ -z "$validate" ] && python3 -m venv "$place/venv" &&
  "$place/venv/bin/pip" install -q --disable-pip-version-check kubernetes-validate; then
  validate=$place/venv/bin/kubernetes-validate
fi
if [ -n "$validate" ]; then
  for version in "${VERSIONS[@]}"; do
    for file in "$place"/*.yaml; do
      "$validate" --strict --quiet --no-warn -k "$version" "$file"
      echo "$(basename "$file" .yaml) is valid for Kubernetes $version"
    done
  done
else
  echo "skipped: no kubernetes-validate"
fi

[ -x "$AGENT" ] || { echo "skipped: no binary $AGENT, so the scripts are not run"; exit 0; }
mkdir "$place/bin"
ln -s "$AGENT" "$place/bin/agent"
export PATH=$place/bin:$PATH AGENT_CACHE=$place/cache
export DATASET=sample SANDBOX=local SESSIONS=1 FLAGS='--samples 4 --tests 2' JOB_COMPLETIONS=4 RUN=$place/run
# shellcheck disable=SC2086
agent run sample --sandbox local $FLAGS -o "$place/whole" --quiet
for index in 0 1 2 3; do
  JOB_COMPLETION_INDEX=$index sh base/run.sh 2>>"$place/log" || { cat "$place/log" >&2; exit 1; }
done
# Once more, as after a failed index: what was joined stays.
for _ in 1 2; do
  sh merge/merge.sh >/dev/null 2>>"$place/log" || { cat "$place/log" >&2; exit 1; }
  cmp "$place/whole/predictions.jsonl" "$RUN/predictions.jsonl"
done
if JOB_COMPLETION_INDEX=0 FLAGS=--no-such-flag sh base/run.sh 2>/dev/null; then
  echo "wrong settings went unnoticed" >&2
  exit 1
fi
echo "the joined predictions are those of one run"
