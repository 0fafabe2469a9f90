# Runs after the installation: hides its products from git, puts back what it changed of the
# tracked files, and leaves nothing behind that only the build needed.
set -eu
cd /testbed
export GIT_OPTIONAL_LOCKS=0
# Eval scripts print HEAD, which has no parents: not the whole tree.
git config log.showRoot false
mkdir -p .git/info
printf '%s\n' '# products of the installation' '__pycache__/' '*.py[cod]' '*.egg-info/' \
    '.pytest_cache/' >.git/info/exclude
git -c core.quotePath=false ls-files --others --exclude-standard --directory |
    sed 's/[][\\*?!# ]/\\&/g; s|^|/|' >/tmp/agent-left
cat /tmp/agent-left >>.git/info/exclude
changed=$(git -c core.quotePath=false diff --name-only HEAD)
if [ -n "$changed" ]; then
    printf '%s\n' "$changed" | sed 's/^/restored: /'
    git read-tree --reset -u HEAD
fi
rm -rf .git/logs .git/ORIG_HEAD .git/FETCH_HEAD /agent-build /root/.cache
find /tmp /var/tmp -mindepth 1 -delete
