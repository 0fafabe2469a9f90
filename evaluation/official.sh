#!/bin/bash
# Grades predictions with the official SWE-bench harness, at a pinned version and unchanged.
#
#     bash evaluation/official.sh DATASET.jsonl PREDICTIONS.jsonl RUN_ID OUT [-j N] [-t SECONDS] [-i ID]...
#
#   -j N         instances at the same time [4]; the harness idles 15 s when it stops a container
#   -t SECONDS   limit of one eval script [1800]
#   -i ID        only this instance; repeatable
#
# OUT gets the run report (<model>.<run id>.json), logs/run_evaluation/<run id>/<model>/<instance>/
# with patch.diff, eval.sh, test_output.txt, run_instance.log and report.json, and harness.log.
# The harness takes up a run of the same id and model again: it does not look at patches, so give
# changed predictions another RUN_ID.
#
# The harness is installed from PyPI on first use, into a virtual environment below
# $XDG_CACHE_HOME/agent (~/.cache/agent). PYTHON names the interpreter (3.10 or later) [python3].
#
# Careful: the harness starts the containers with CAP_SYS_ADMIN, with a network and without any
# limit, and runs what the predictions say in them as root. Use a machine that may be thrown away.
set -euo pipefail

version=5.0.2
say() { echo "official.sh: $*" >&2; }
die() { say "$1"; shift; for hint in "$@"; do say "hint: $hint"; done; exit 1; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }
usage_error() { say "$1"; usage >&2; exit 2; }
number() { case "$2" in '' | *[!0-9]*) usage_error "$1 needs a number, not '$2'" ;; esac; }

plain=() ids=() jobs=4 limit=1800
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help) usage; exit 0 ;;
    -j | -t | -i)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case "$1" in
        -j) number -j "$2"; jobs=$2 ;;
        -t) number -t "$2"; limit=$2 ;;
        -i) ids+=("$2") ;;
        esac
        shift
        ;;
    -*) usage_error "unknown option: $1" ;;
    *) plain+=("$1") ;;
    esac
    shift
done
[ ${#plain[@]} = 4 ] || usage_error "four arguments are needed, not ${#plain[@]}"
dataset=$(realpath -- "${plain[0]}") predictions=$(realpath -- "${plain[1]}")
run_id=${plain[2]} out=${plain[3]}
for file in "$dataset" "$predictions"; do
    [ -f "$file" ] || die "there is no file $file"
    case "$file" in
    *.json | *.jsonl) ;;
    *) die "the harness takes only .json and .jsonl: $file" ;;
    esac
done
case "$run_id" in
'' | *[!A-Za-z0-9_.-]*) die "a run id is made of letters, digits, _, . and -: '$run_id'" ;;
esac

command -v docker >/dev/null || die "the docker client is missing: the harness calls it" \
    "apt-get install docker.io (docker-cli on newer releases)"
docker version >/dev/null 2>&1 || die "no Docker daemon answers" "start it (dockerd), or set DOCKER_HOST"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "there is no $python" "apt-get install python3 python3-venv" \
    "PYTHON=/path/to/python3 bash evaluation/official.sh ..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$python is older than 3.10, which swebench $version needs" \
        "PYTHON=/path/to/python3 bash evaluation/official.sh ..."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/agent
home=$cache/swebench-$version
if [ ! -e "$home/installed" ]; then
    say "installing swebench $version into $home"
    mkdir -p "$cache"
    # Two first uses at the same time must not install into one another.
    exec 9>"$cache/swebench.lock"
    flock 9
    if [ ! -e "$home/installed" ]; then
        rm -rf "$home"
        "$python" -m venv "$home" || die "cannot make a virtual environment" "apt-get install python3-venv"
        "$home/bin/pip" install --quiet --disable-pip-version-check "swebench==$version" ||
            die "pip cannot install swebench==$version" \
                "is the package index reachable? pip's own settings (PIP_INDEX_URL, PIP_CERT, proxies) count"
        touch "$home/installed"
    fi
    exec 9>&-
fi

mkdir -p "$out"
cd "$out"
arguments=(-d "$dataset" -s test -p "$predictions" -id "$run_id" --max_workers "$jobs" -t "$limit")
[ ${#ids[@]} = 0 ] || arguments+=(-i "${ids[@]}")
# Without these the data set library looks up counters on the network.
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
status=0 before=0
[ ! -f harness.log ] || before=$(wc -c <harness.log)
"$home/bin/python" -m swebench.harness.run_evaluation "${arguments[@]}" >>harness.log 2>&1 || status=$?
if [ $status != 0 ]; then
    tail -c "+$((before + 1))" harness.log | tail -n 20 >&2
    die "the harness failed (its last lines are above, all of it in $PWD/harness.log)"
fi
# The log holds earlier runs too; a progress line is one long line.
tail -c "+$((before + 1))" harness.log | tr '\r' '\n' | sed -n '/^All instances run/,$p'
