#!/usr/bin/env bash
# Runs the job files on a Slurm cluster of one node, made on the spot in a temporary directory, over the
# dataset `sample`: one task gets the signal of the time limit in mid-run, and the joined predictions
# must be those of one `agent run`.
#
#   bash evaluation/slurm/check.sh [AGENT|--files]    as root; Debian: apt-get install slurm-wlm munge
#
# With --files, where Slurm is missing, or this is not root, the job files are only looked through.
set -euo pipefail
HERE=$(dirname "$(realpath "$0")")
given=${1:-$HERE/../../target/release/agent}
AGENT=$(realpath -m -- "$given")
cd "$HERE"

for file in array.sbatch merge.sbatch submit.sh check.sh; do
  bash -n "$file"
done
if command -v shellcheck >/dev/null; then
  shellcheck array.sbatch merge.sbatch submit.sh check.sh
else
  echo "skipped: no shellcheck"
fi
[ "$given" != --files ] || exit 0
for tool in slurmctld slurmd sbatch munged; do
  if ! PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null; then
    echo "skipped: no $tool, so the jobs are not run"
    exit 0
  fi
done
[ "$(id -u)" = 0 ] || { echo "skipped: not root, so the jobs are not run"; exit 0; }
[ -x "$AGENT" ] || { echo "no binary $AGENT: cargo build --release, or name one" >&2; exit 2; }

PATH=$PATH:/usr/sbin
place=$(mktemp -d /tmp/agent-slurm-XXXXXX)
pids=()
finish() {
  code=$?
  scancel --full --quiet --state=RUNNING 2>/dev/null || true
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  if [ "$code" != 0 ]; then
    tail -n 40 "$place"/work/*.logs/* "$place"/daemons >&2 || true
  fi
  rm -rf "$place"
  exit "$code"
}
trap finish EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }
until_true() {
  for _ in $(seq 600); do
    "$@" && return 0
    sleep 0.5
  done
  echo "did not come true: $*" >&2
  return 1
}

chmod 755 "$place"
mkdir "$place"/{state,spool,work,munge}
head -c 1024 /dev/urandom >"$place/munge/key"
chmod 700 "$place/munge"
chmod 600 "$place/munge/key"
chown -R munge: "$place/munge" 2>/dev/null || chown -R root: "$place/munge"
install -d -o munge -m 755 "$place/munged"
setpriv --reuid=munge --regid=munge --clear-groups \
  munged --foreground --key-file="$place/munge/key" --socket="$place/munged/socket" \
  --pid-file="$place/munged/pid" --seed-file="$place/munged/seed" --log-file="$place/munged/log" 2>>"$place/daemons" &
pids+=($!)
until_true test -S "$place/munged/socket"

host=$(hostname -s)
cat >"$place/slurm.conf" <<END
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(port)
SlurmdPort=$(port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits for as long as credentials live.
AuthInfo=socket=$place/munged/socket,cred_expire=6
CredType=cred/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=check Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
export SLURM_CONF=$place/slurm.conf
slurmctld -D -f "$SLURM_CONF" 2>>"$place/daemons" &
pids+=($!)
slurmd -D -f "$SLURM_CONF" -N "$host" 2>>"$place/daemons" &
pids+=($!)
is_idle() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }
until_true is_idle

cd "$place/work"
export AGENT AGENT_CACHE=$place/cache
"$AGENT" run sample --sandbox local -o whole --quiet

unfinished() { squeue -h -t all -o '%i %T' | grep -vE 'COMPLETED|FAILED|CANCELLED' || true; }
is_over() { [ -z "$(unfinished)" ]; }
restarts() { scontrol show job "$1" 2>/dev/null | grep -o 'Restarts=[0-9]*' | sort -u | tr '\n' ' '; }

check() {
  layout=$1 run=$place/work/$2
  echo "== layout $layout"
  told=$(DATASET=sample RUN=$run SHARDS=4 LAYOUT=$layout SANDBOX=local SESSIONS=1 \
    SBATCH_FLAGS="--cpus-per-task=1 --mem=0 --time=60" bash "$HERE/submit.sh")
  echo "$told"
  job=$(echo "$told" | grep -o 'array [0-9]*' | cut -d' ' -f2)
  # A task that has begun to work gets the signal of the time limit.
  started() { grep -qs '"instance_started"' "$run"/events.jsonl "$run".parts/0/events.jsonl; }
  until_true started
  scancel --signal=USR1 --batch "${job}_0"
  until_true is_over
  echo "restarts: $(restarts "${job}_0")"
  grep -h 'goes back into the queue' "$run".logs/*_0.log
  squeue -h -t all -o '%i %T %r'
  cmp whole/predictions.jsonl "$run/predictions.jsonl"
  cmp whole/predictions.json "$run/predictions.json"
}

check parts run
check shared shared
echo "the predictions of both layouts are those of one run"
