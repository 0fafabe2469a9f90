#!/bin/bash
# Makes the base image agent-base:bookworm on this machine, without any image registry:
# Debian bookworm by debootstrap, then contract.sh (see README.md here).
#
#     sudo docker/base.sh [--suite NAME] [--force]
#
# With --suite another Debian release is taken, and with it another Python; the image is then
# agent-base:NAME. Does nothing if the image exists, unless --force is given. The Debian mirror
# is the one that apt uses on this machine, or debootstrap's own default.
set -euo pipefail

suite=bookworm
packages=bash,git,patch,procps,python3,python3-dev,python3-pip,python3-venv,gcc,g++,make
packages+=,ca-certificates,locales,tzdata,libffi-dev
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "base.sh: $*" >&2; }
die() { say "$1"; shift; for hint in "$@"; do say "hint: $hint"; done; exit 1; }

force=no
while [ $# -gt 0 ]; do
    case "$1" in
    --force) force=yes ;;
    --suite)
        [ $# -ge 2 ] || die "--suite needs a name" "docker/base.sh --suite bullseye"
        suite=$2
        shift
        ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown argument: $1" "docker/base.sh [--suite NAME] [--force]" ;;
    esac
    shift
done
image=agent-base:$suite

command -v docker >/dev/null || die "the docker client is missing" "apt-get install docker.io"
docker version >/dev/null 2>&1 ||
    die "no Docker daemon answers" "start it (dockerd), or set DOCKER_HOST"
if [ "$force" = no ] && docker image inspect "$image" >/dev/null 2>&1; then
    say "$image is here already (--force makes it anew)"
    exit 0
fi
command -v debootstrap >/dev/null || die "debootstrap is missing" "apt-get install debootstrap"
[ "$(id -u)" = 0 ] || die "debootstrap needs root" "sudo docker/base.sh"

# The archive that apt uses here, where this machine runs Debian; other distributions' archives
# do not carry Debian's suites. A mirror has more suites than the one that is installed here.
mirror=
if command -v apt-get >/dev/null && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' 2>/dev/null |
        awk -v name="$codename" '$1 == name && $2 == "main" { print $3; exit }') || mirror=
fi
if command -v apt-config >/dev/null; then
    eval "$(apt-config shell apt_proxy Acquire::http::Proxy)"
    [ -z "${apt_proxy-}" ] || export http_proxy="${http_proxy:-$apt_proxy}"
fi

# Not /tmp by default: it is often small, or mounted without device files.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/agent-base.XXXXXXXX")
cleanup() {
    for mount in proc sys dev/pts dev/shm dev; do
        umount "$work/root/$mount" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tree=$work/root
say "debootstrap of $suite from ${mirror:-the default mirror}; this takes about a minute"
if ! debootstrap --variant=minbase --include="$packages" "$suite" "$tree" ${mirror:+"$mirror"} \
    >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    [ ! -f "$tree/debootstrap/debootstrap.log" ] || tail -n 20 "$tree/debootstrap/debootstrap.log" >&2
    die "debootstrap failed (its last lines are above)" \
        "is the mirror reachable? is the package debian-archive-keyring installed?"
fi

mkdir "$tree/tmp/contract"
cp "$here/contract.sh" "$here/conda-activate.sh" "$tree/tmp/contract/"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot "$tree" sh /tmp/contract/contract.sh
rm -rf "$tree/tmp/contract" "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* \
    "$tree"/var/log/* "$tree/etc/machine-id"
# Written from this machine by debootstrap; the engine supplies its own in each container.
rm -f "$tree/etc/resolv.conf" "$tree/etc/hostname"

tar -C "$tree" --numeric-owner --one-file-system -c . |
    docker import \
        --change 'ENV PATH=/opt/miniconda3/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV LANG=C.UTF-8' \
        --change 'ENV TZ=Etc/UTC' \
        --change 'WORKDIR /testbed' \
        --change 'CMD ["bash"]' \
        --message "agent base image: debootstrap $suite and contract.sh" \
        - "$image" >/dev/null
say "made $image"
