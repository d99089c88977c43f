#!/usr/bin/env bash
# mutate.sh NAME FOLDER - copies of the core's files with the bug NAME of mutants.def in them, in FOLDER. Lines that are not there, or not
# once, are an error: the bug must be moved along with the code.
set -euo pipefail
name=$1 folder=$2 list=tests/simulation/mutants.def

grep -qxE "(mutant|harmless) $name" "$list" || { echo "mutate: $list has no mutant $name" >&2; exit 1; }
rm -rf "$folder" && mkdir -p "$folder"
awk -v name="$name" -v folder="$folder" '
    function fail(text) { print "mutate: " name ": " text > "/dev/stderr"; failed = 1; exit 1 }

    function read_file(path,    line) {
        n = 0
        while ((getline line < path) > 0) text[++n] = line
        close(path)
        if (n == 0) fail(path " cannot be read")
    }

    function write_file(path,    i, parts, k) {
        k = split(path, parts, "/")
        for (i = 1; i <= n; i++) print text[i] > (folder "/" parts[k])
        close(folder "/" parts[k])
    }

    # The old lines, at the one place where they stand, become the new ones.
    function replace(    i, k, at, found, out, m) {
        if (n_old == 0) return
        for (i = 1; i + n_old - 1 <= n; i++) {
            for (k = 1; k <= n_old && text[i + k - 1] == old[k]; k++);
            if (k > n_old) { at = i; found++ }
        }
        if (found != 1) fail("\"" old[1] "\" stands " found + 0 " times in " file)
        for (i = 1; i < at; i++) out[++m] = text[i]
        for (i = 1; i <= n_new; i++) out[++m] = fresh[i]
        for (i = at + n_old; i <= n; i++) out[++m] = text[i]
        n = m
        for (i = 1; i <= n; i++) text[i] = out[i]
        n_old = n_new = 0
    }

    function finish() {
        if (file == "") return
        replace()
        write_file(file)
        file = ""
    }

    /^(mutant|harmless) / { finish(); mine = ($2 == name); next }
    !mine      { next }
    /^file /   { finish(); file = $2; read_file(file); next }
    /^-/       { if (n_new) replace(); old[++n_old] = substr($0, 2); next }
    /^\+/      { fresh[++n_new] = substr($0, 2); next }
    END        { if (!failed) finish() }
' "$list"
