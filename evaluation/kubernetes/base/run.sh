#!/bin/sh
# One index of the Job: one part of the dataset. Exit codes are what the Job's podFailurePolicy reads.
set -u

child='' signalled='' code=127
# The pod is to go: a drained node, a preemption. The agent ends cleanly and its replacement goes on.
trap 'signalled=1; [ -n "$child" ] && kill -TERM "$child"' TERM INT

# FLAGS holds several words.
# shellcheck disable=SC2086
agent run "$DATASET" --shard kubernetes -o "$RUN.parts/$JOB_COMPLETION_INDEX" -j "$SESSIONS" \
  --sandbox "${SANDBOX:-docker}" $FLAGS &
child=$!
# A trapped signal ends `wait` before the process; one that has been waited for gives 127.
while true; do
  signalled=''
  wait "$child"
  now=$?
  [ "$now" != 127 ] && code=$now
  [ -n "$signalled" ] || break
done

case $code in
  # 1: all done, some instances without a patch or failed. 4: no instance falls into this part.
  0 | 1 | 4) exit 0 ;;
  *) exit "$code" ;;
esac
