#!/usr/bin/env bash
# Every check: format, lints, unit, integration, Docker and end-to-end tests.
#
# What the Docker tests need is installed where that is possible (root, apt): the engine, and a
# base image made with debootstrap. Where it is not, they say so in a line and the rest runs.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '== %s\n' "$*"; }

daemon_answers() { docker version >/dev/null 2>&1; }

apt_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing $*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

start_daemon() {
  daemon_answers && return 0
  command -v dockerd >/dev/null || apt_install docker.io iptables || return 1
  # Newer Debian releases have the client in a package of its own.
  command -v docker >/dev/null || apt_install docker-cli || return 1
  [ "$(id -u)" = 0 ] || return 1
  # A machine that was stopped hard leaves the pid file of a daemon that no longer runs.
  if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
    rm -f /var/run/docker.pid
  fi
  say "starting the Docker daemon"
  setsid dockerd >"${TMPDIR:-/tmp}/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 60); do
    daemon_answers && return 0
    sleep 1
  done
  say "dockerd did not come up; see ${TMPDIR:-/tmp}/dockerd.log"
  return 1
}

base_image() {
  docker image inspect agent-base:bookworm >/dev/null 2>&1 && return 0
  command -v debootstrap >/dev/null || apt_install debootstrap || return 1
  say "making the base image"
  bash docker/base.sh
}

for tool in git python3; do
  command -v "$tool" >/dev/null || apt_install "$tool" || { say "$tool is needed"; exit 3; }
done
if start_daemon && base_image; then
  export AGENT_TEST_DOCKER=1
else
  say "no Docker here: the tests that need it are skipped"
fi

# Podman and sshd are looked at as well where they can be had.
if [ -n "${AGENT_TEST_DOCKER:-}" ]; then
  command -v podman >/dev/null || apt_install --no-install-recommends podman crun \
    || say "no Podman here: its test is skipped"
  command -v podman >/dev/null && export AGENT_TEST_PODMAN=1
  [ -x /usr/sbin/sshd ] || apt_install --no-install-recommends openssh-server openssh-client \
    || say "no sshd here: its test is skipped"
fi

say "format"
cargo fmt --check
say "lints"
cargo clippy --all-targets --quiet -- -D warnings
say "fuzz targets"
cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
cargo check --quiet --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz
say "evaluators"
python3 -B -m unittest discover -q -s evaluation/localization
python3 -B -m unittest discover -q -s evaluation/grading
say "job files"
command -v shellcheck >/dev/null || apt_install shellcheck || true
bash evaluation/slurm/check.sh --files
say "tests"
cargo test --quiet --no-fail-fast
say "clusters"
built=$(realpath "${CARGO_TARGET_DIR:-target}")
bash evaluation/kubernetes/check.sh "$built/debug/agent"
ray=$built/ray-venv
if ! "$ray/bin/python" -c 'import ray' 2>/dev/null; then
  python3 -m venv "$ray" && timeout 120 "$ray/bin/pip" install -q --disable-pip-version-check ray \
    || { say "no Ray here: its cluster test is skipped"; ray=; }
fi
AGENT=$built/debug/agent "${ray:+$ray/bin/}python3" -B -m unittest discover -q -s evaluation/ray
