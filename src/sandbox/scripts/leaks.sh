# Looks in an image for what lies beside or after the commit that is checked out, and takes away
# what can be spared. Runs as root in /testbed, before anything else does. $AGENT_LEAKS is
# `remove`, `refuse` or `warn`; only `remove` changes anything but the scratch directory.
# Prints lines of KIND, ACTION, COUNT and DETAIL between tabs. ACTION is `removed`, `found` (not
# removed: only looked for), `kept` (cannot be spared), `equal` (a copy that equals the tree) or
# `unchecked`.
mkdir -p /tmp/agent || exit 1
cd /testbed || { echo "it has no /testbed"; exit 1; }
command -v git >/dev/null || { echo "it has no git"; exit 1; }
git rev-parse -q HEAD >/dev/null 2>&1 || git config --global --add safe.directory '*'
git rev-parse -q --verify 'HEAD^{commit}' >/dev/null || { echo "/testbed is no repository with a commit"; exit 1; }
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1
dir=$(git rev-parse --absolute-git-dir) || exit 1
temp=$(mktemp -d /tmp/agent-leaks.XXXXXX) || exit 1
trap 'rm -rf "$temp"' EXIT

removing() { [ "$AGENT_LEAKS" = remove ]; }
tell() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(printf %s "$4" | tr '\t\n' '  ' | cut -c1-300)"; }
done_or_found() { if removing; then echo removed; else echo found; fi; }
# A few lines of a file, for people; paths without $2 in front.
some() { sed "s|^${2:-/*}||" "$1" | head -n 4 | paste -sd ' ' -; }
found() { tell "$1" "$(done_or_found)" "$(wc -l <"$2")" "$(some "$2" "${3-}")"; }
git_() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 "$@"; }

printf 'head\tis\t1\t%s\n' "$(git log -1 --format='%H %P')"

# Names. Tags of ancestors stay: version numbers are made from them.
branch=$(git symbolic-ref -q HEAD || true)
git for-each-ref --format='%(refname)' | sort >"$temp/refs"
{
    git for-each-ref --merged HEAD --format='%(refname)' refs/tags
    printf '%s\n' "$branch"
} | sort >"$temp/fine"
comm -23 "$temp/refs" "$temp/fine" >"$temp/bad"
if [ -s "$temp/bad" ]; then
    if removing; then
        sed 's/^/delete /' "$temp/bad" | git_ update-ref --no-deref --stdin || exit 1
    fi
    found refs "$temp/bad"
fi
git remote >"$temp/remotes"
if [ -s "$temp/remotes" ]; then
    if removing; then
        while IFS= read -r remote; do
            git_ config --remove-section "remote.$remote" </dev/null
        done <"$temp/remotes"
        git_ config --unset-all extensions.partialClone
    fi
    found remotes "$temp/remotes"
fi
# What git writes down beside the names, and what people leave there.
find "$dir" -path "$dir/modules" -prune -o -type f -path "$dir/logs/*" -print >"$temp/logs"
[ ! -s "$temp/logs" ] || found reflogs "$temp/logs" "$dir/"
if removing; then
    rm -rf "$dir/logs"
    git_ config core.logAllRefUpdates false
fi
: >"$temp/left"
for name in FETCH_HEAD ORIG_HEAD MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD AUTO_MERGE BISECT_LOG \
    BISECT_HEAD SQUASH_MSG MERGE_MSG rebase-merge rebase-apply worktrees rr-cache info/grafts; do
    [ ! -e "$dir/$name" ] || printf '%s\n' "$dir/$name" >>"$temp/left"
done
find "$dir" -path "$dir/modules" -prune -o -path "$dir/objects" -prune -o -type f \
    \( -name '*.bundle' -o -name '*.patch' -o -name '*.diff' -o -name '*.mbox' -o -name '*.pack' \) \
    -print >>"$temp/left"
if [ -s "$temp/left" ]; then
    removing && while IFS= read -r path; do rm -rf "$path"; done <"$temp/left"
    found left_files "$temp/left" "$dir/"
fi

# Objects that neither HEAD nor the index nor a tag of an ancestor reaches. They go by way of a new
# pack: `git repack` keeps those of kept and of promised packs.
tips() { echo HEAD; grep '^refs/tags/' "$temp/fine"; }
unreached() {
    timeout 200 git cat-file --batch-all-objects --batch-check='%(objectname) %(objecttype)' |
        sort >"$temp/all"
    tips | timeout 200 git rev-list --objects --indexed-objects --missing=allow-any --stdin |
        cut -c1-40 | sort -u >"$temp/reached"
    # The middle one is rev-list's.
    [ "${PIPESTATUS[1]}" = 0 ] && [ -s "$temp/all" ] || return 1
    join -v1 "$temp/all" "$temp/reached" >"$temp/unreached"
}
pack_anew() {
    tips | timeout 400 git pack-objects --revs --indexed-objects --delta-base-offset -q \
        "$temp/new" >"$temp/name"
    [ "${PIPESTATUS[1]}" = 0 ] && [ "$(wc -l <"$temp/name")" = 1 ] || return 1
    find "$dir/objects" -mindepth 1 -delete
    mkdir -p "$dir/objects/pack" "$dir/objects/info"
    local file
    for file in "$temp"/new-*; do mv "$file" "$dir/objects/pack/pack-${file##*/new-}"; done
    unreached && [ ! -s "$temp/unreached" ]
}
alternates=
[ ! -s "$dir/objects/info/alternates" ] || alternates=$(cat "$dir/objects/info/alternates")
if ! unreached; then
    tell objects unchecked 0 "they could not be listed in time"
elif [ -s "$temp/unreached" ] || [ -n "$alternates" ]; then
    count=$(wc -l <"$temp/unreached")
    commits=$(grep ' commit$' "$temp/unreached" | cut -c1-12 | head -n 3 | paste -sd ' ' -)
    action=found
    ! removing || { if pack_anew; then action=removed; else action=kept; fi; }
    [ "$count" = 0 ] || tell objects "$action" "$count" "commits: ${commits:-none}"
    [ -z "$alternates" ] || tell alternates "$action" 1 "$alternates"
fi
git rev-list -n 1 --objects HEAD >/dev/null || { echo "its repository broke while it was cleaned"; exit 1; }

# One walk over the file system: other repositories, installed packages, archives of packages.
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path "$dir" -o -path "$temp" \) -prune -o \
    -type d -name objects -printf 'repository\t%h\n' -o \
    -type d \( -name site-packages -o -name dist-packages -o -name '*.egg' \) -printf 'site\t%p\n' -o \
    -type f \( -name '*.whl' -o -name '*.egg' -o -name '*.conda' -o -name '*.tar.gz' -o -name '*.tar.bz2' \
    -o -name '*.zip' -o -name '*.bundle' \) -printf 'archive\t%p\n' 2>/dev/null >"$temp/walk"
of_kind() { sed -n "s/^$1\t//p" "$temp/walk"; }

# Repositories that hold this one's first commit are copies of it.
root=$(git rev-list --max-parents=0 HEAD | tail -n 1)
while IFS= read -r other; do
    [ -f "$other/HEAD" ] && [ -d "$other/refs" ] || continue
    GIT_DIR=$other git -c safe.directory='*' cat-file -e "$root" 2>/dev/null || continue
    removing && rm -rf "$other"
    tell repository "$(done_or_found)" 1 "$other"
done < <(of_kind repository)

# The packages of the tree, and the names under which it is published.
git ls-files -- '*/__init__.py' | sed -n 's|^\(\(src/\|lib/\)\{0,1\}[A-Za-z0-9_]*\)/__init__\.py$|\1|p' |
    grep -vE '(^|/)(tests?|testing|docs?|examples?|benchmarks?|scripts?|tools?|utils?|bin|ci|build|setup)$' \
        >"$temp/packages"
{
    sed 's|.*/||' "$temp/packages"
    sed -nE "s/^[[:space:]]*[\"']?name[\"']?[[:space:]]*[=:][[:space:]]*[\"']?([A-Za-z0-9._-]+)[\"']?,?[[:space:]]*$/\1/p" \
        setup.cfg setup.py pyproject.toml 2>/dev/null
} | tr 'A-Z.-' 'a-z__' | sort -u >"$temp/names"

# Archives of it, wherever git does not track them.
normal() { tr 'A-Z.-' 'a-z__'; }
while IFS= read -r path; do
    file=${path##*/}
    name=$(printf %s "${file%%-[0-9]*}" | normal)
    [ "$name" != "$(printf %s "$file" | normal)" ] && grep -qxF -- "$name" "$temp/names" || continue
    git ls-files --error-unmatch -- "$path" >/dev/null 2>&1 && continue
    removing && rm -f "$path"
    printf '%s\n' "$path" >>"$temp/archives"
done < <(of_kind archive)
[ ! -s "$temp/archives" ] || found archives "$temp/archives"
cache=/root/.cache/pip
if [ -d "$cache" ]; then
    removing && rm -rf "$cache"
    tell archives "$(done_or_found)" 1 "$cache"
fi

# Installed copies. Files whose name speaks of a version are made by the installation.
sums() { (cd "$1" && find . -name '*.py' ! -iname '*version*' -type f -exec md5sum {} + | sort); }
env=/opt/miniconda3/envs/testbed
python=$env/bin/python
needed() {
    local site=$1 package=$2 name
    case $site in *.egg) return 0 ;; esac
    if [ "${site#"$env"/}" != "$site" ] && [ -x "$python" ]; then
        (cd / && "$python" -c "import $package; print($package.__file__)" 2>/dev/null) |
            grep -qF "$site/" && return 0
    fi
    while IFS= read -r name; do
        # Names are compared with any separator.
        name=$(printf %s "$name" | sed 's/_/[-_.]/g')
        find "$site" -maxdepth 2 \( -name METADATA -o -name requires.txt \) \
            -exec grep -liE "^(Requires-Dist: *)?$name([^A-Za-z0-9._-]|$)" {} + 2>/dev/null |
            grep -qviE "/$name-[^/]*/[^/]*$" && return 0
    done <"$temp/names"
    return 1
}
while IFS= read -r site; do
    for source in $(cat "$temp/packages"); do
        package=${source##*/}
        for copy in "$site/$package" "$site/pip/_vendor/$package"; do
            [ -d "$copy" ] && [ -f "$copy/__init__.py" ] || continue
            [ "$copy" -ef "$source" ] && continue
            differ=$(comm -23 <(sums "$copy") <(sums "$source") | wc -l)
            if [ "$differ" = 0 ]; then
                tell installed equal 0 "$copy"
            elif ! removing; then
                tell installed found "$differ" "$copy"
            elif [ "$copy" != "$site/$package" ] || needed "$site" "$package"; then
                tell installed kept "$differ" "$copy"
            else
                rm -rf "$copy"
                tell installed removed "$differ" "$copy"
            fi
        done
    done
done < <(of_kind site)
exit 0
