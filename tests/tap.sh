# shellcheck shell=bash
# tap.sh - the words of tap.h for test scripts; source it. The script runs in the repository's root, with
#
#     ENGRAM_BIN   folder of engram, engram-coordinator, engram-worker
#     TMPDIR       an empty folder of its own, removed afterwards unless KEEP is set
#
#     . tests/tap.sh
#     run "$ENGRAM_BIN/engram" frobnicate
#     is "$status" 2 "an unknown verb is a usage error"
#     like "$stderr" "did you mean*" "it suggests a verb"
#     done_testing

: "${ENGRAM_BIN:=$PWD/build}"
export ENGRAM_BIN
tap_points=0
tap_failed=0
status=0 stdout='' stderr=''

# point HELD SENTENCE
point() {
    tap_points=$((tap_points + 1))
    if ((!$1)); then
        echo "ok $tap_points - $2"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_points - $2"
        echo "#   at ${BASH_SOURCE[2]}:${BASH_LINENO[1]}"
        return 1
    fi
}

# ok SENTENCE COMMAND...: the command succeeds.
ok() {
    local sentence=$1 rc=0
    shift
    "$@" >/dev/null 2>&1 || rc=1
    point "$rc" "$sentence"
}

# is GOT WANT SENTENCE: equal texts.
is() {
    if [[ $1 == "$2" ]]; then point 0 "$3"; else
        point 1 "$3"
        printf "got  '%s'\nwant '%s'\n" "$1" "$2" | sed 's/^/#   /'
    fi
}

# like GOT GLOB SENTENCE: the text matches the glob as a whole.
like() {
    # shellcheck disable=SC2053
    if [[ $1 == $2 ]]; then point 0 "$3"; else
        point 1 "$3"
        printf "got  '%s'\nwant '%s' (a glob)\n" "$1" "$2" | sed 's/^/#   /'
    fi
}

# run COMMAND...: sets status, stdout, stderr.
# shellcheck disable=SC2034
run() {
    local out=${TMPDIR:-/tmp}/tap-out.$$ err=${TMPDIR:-/tmp}/tap-err.$$
    status=0
    "$@" >"$out" 2>"$err" || status=$?
    stdout=$(<"$out")
    stderr=$(<"$err")
    rm -f "$out" "$err"
}

# skip REASON SENTENCE
skip() {
    tap_points=$((tap_points + 1))
    echo "ok $tap_points - $2 # SKIP $1"
}

# skip_all REASON: the whole script; ends it.
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$tap_points"
    exit $((tap_failed > 0 || tap_points == 0))
}
