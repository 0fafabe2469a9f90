# Checks the SWE-bench image contract. $AGENT_COMMIT is the base commit. Prints each clause that
# does not hold and fails if there is one.
failed=0
clause() {
    local name=$1
    shift
    if ! ("$@") >/tmp/agent-clause 2>&1; then
        failed=1
        echo "contract: $name"
        tail -n 5 /tmp/agent-clause
    fi
}
is_head() { [ "$(git rev-parse HEAD)" = "$AGENT_COMMIT" ]; }
one_commit() { [ "$(git rev-list --all | wc -l)" = 1 ]; }
no_parent() { ! git rev-parse -q --verify 'HEAD^'; }
no_other_ref() { [ -z "$(git for-each-ref --format='%(refname)' | grep -vx 'refs/heads/main')" ]; }
empty() { local out; out=$("$@" 2>&1); echo "$out"; [ -z "$out" ]; }
unreachable() { git fsck --unreachable --no-reflogs 2>/dev/null | grep unreachable; }
no_leftovers() { local f; for f in logs ORIG_HEAD FETCH_HEAD; do [ ! -e ".git/$f" ] || return 1; done; }
in_testbed() { [ "$(python -c 'import sys; print(sys.prefix)')" = /opt/miniconda3/envs/testbed ]; }
activated() {
    set -u
    source /opt/miniconda3/bin/activate
    conda activate testbed
    in_testbed
}
gnu_patch() { patch --version | grep -q 'GNU patch'; }
programs() { local p; for p in bash git tail mkdir kill; do type -P "$p" || return 1; done; }
writable() { touch /testbed/.agent-w /tmp/.agent-w /.agent-w && rm /testbed/.agent-w /tmp/.agent-w /.agent-w; }
no_build_files() { [ ! -e /agent-build ] && [ ! -e /root/.cache/pip ]; }

cd /testbed || exit 1
clause 'HEAD is the base commit' is_head
clause 'there is exactly one commit' one_commit
clause 'the commit has no parent here' no_parent
clause 'there is no reference besides the branch' no_other_ref
clause 'there is no remote' empty git remote
clause 'there is no reflog and no former head' no_leftovers
clause 'no object is unreachable' empty unreachable
clause 'the work tree is clean' empty git status --porcelain
clause 'the environment testbed can be activated' activated
clause 'patch is GNU patch' gnu_patch
clause 'the needed programs are there' programs
clause 'the file system is writable' writable
clause 'nothing of the build is left' no_build_files
rm -f /tmp/agent-clause
exit $failed
