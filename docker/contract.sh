#!/bin/sh
# Makes a Debian-like root file system fulfil the parts of the SWE-bench image contract that do
# not depend on a project. Runs as root inside it, with conda-activate.sh beside this file:
#
#     sh contract.sh
#
# Afterwards there are: /opt/miniconda3/bin/activate, the environment `testbed`, an empty
# /testbed, and a git that trusts any directory. May be run again.
set -eu
here=$(dirname "$0")
root=/opt/miniconda3

missing=
for tool in bash git patch kill tail mkdir; do
    # `kill` must be a program: the harness executes it without a shell.
    (PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; which "$tool") \
        >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "contract.sh: this image lacks:$missing (packages bash git patch procps coreutils)" >&2
    exit 1
fi
if ! patch --version 2>/dev/null | grep -q 'GNU patch'; then
    echo "contract.sh: patch is not GNU patch (package patch)" >&2
    exit 1
fi

# The image's own Python first: python images have theirs in /usr/local/bin.
python=
for candidate in /usr/local/bin/python3 /usr/bin/python3; do
    if [ -x "$candidate" ]; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "contract.sh: this image has no python3 (packages python3 python3-venv)" >&2
    exit 1
fi

mkdir -p "$root/bin" "$root/envs" /testbed
cp "$here/conda-activate.sh" "$root/bin/activate"
chmod 644 "$root/bin/activate"
ln -sf "$python" "$root/bin/python"
if [ ! -x "$root/envs/testbed/bin/python" ]; then
    "$python" -m venv "$root/envs/testbed"
fi
# Trees come from tar archives with foreign owners; without this git refuses to look at them.
git config --system --replace-all safe.directory '*'
