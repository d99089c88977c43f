# shellcheck shell=bash
# files.sh - sourced by the tests of this folder: the files that belong to the project.

# tracked PATTERN...: paths that git knows and that exist; where this is no git tree, every path but build/.
tracked() {
    local list
    list=$(git ls-files -- "$@" 2>/dev/null) || list=
    if [[ -z $list ]]; then
        local p names=()
        for p in "$@"; do names+=(-o -name "$p"); done
        list=$(find . -path ./build -prune -o -path ./.git -prune -o -type f \( "${names[@]:1}" \) -print | sed 's|^\./||')
    fi
    while IFS= read -r path; do [[ -f $path ]] && echo "$path"; done <<<"$list" | sort
}
