# shellcheck shell=bash disable=SC2154
# expected.sh - what a command prints, held against a file. Source it after tests/tap.sh.
#
#     prints NAME COMMAND...       status, stdout and stderr are those of tests/cli/expected/NAME
#
# REWRITE=1 writes the files anew; look at the difference before you commit it. What differs from run to run or machine to machine
# (hashes, pids, seconds, dates, folders) is replaced by words in capitals on both sides.

expected=tests/cli/expected

steady() {
    sed -E -e "s|${home:-/nowhere}|HOME|g; s|$PWD|HERE|g; s|\b$(id -un)\b|USER|g" \
        -e 's/\b[0-9a-f]{64}\b/HASH/g; s/\b[0-9a-f]{12}\b/HASH12/g' \
        -e 's/(pid|coordinator) [0-9]+/\1 PID/g; s/"pid": [0-9]+/"pid": PID/' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}/DATE/g' \
        -e 's/ *[0-9]+(\.[0-9]+)? s( left)?\b/ SECONDS\2/g; s/ +[0-9]+ min [0-9]+ s\b/ SECONDS/g' \
        -e 's/ *[0-9]+\.[0-9] [KMG]iB/ SIZE/g; s/SECONDS to +SECONDS/SECONDS/; s/ *SECONDS +SIZE/ SECONDS SIZE/; s/[0-9] threads?$/THREADS/; s/for stage [a-z]+:/for stage STAGE:/' \
        -e 's/("[a-z_]*_ms": )[0-9-]+/\1TIME/; s/("seconds": )[0-9.e-]+/\1SECONDS/'
}

prints() {
    local name=$1 got
    shift
    run "$@"
    got=$(printf 'status %s\n--- stdout\n%s\n--- stderr\n%s\n' "$status" "$stdout" "$stderr" | steady)
    if [[ -n ${REWRITE:-} ]]; then
        echo "$got" >"$expected/$name"
        echo "# wrote $expected/$name"
    fi
    if [[ -f $expected/$name && $got == "$(<"$expected/$name")" ]]; then point 0 "$name is as expected"; else
        point 1 "$name is as expected"
        diff -u "$expected/$name" - <<<"$got" | sed 's/^/#   /'
    fi
}

# A command's standard output with --json is one document with "v": 1, and nothing stands beside it.
is_json() {
    local sentence=$1
    shift
    run "$@" --json
    is "$(jq -rs 'length as $n | "\($n) \(.[0].v)"' <<<"$stdout" 2>&1)" "1 1" "$sentence --json is one document"
    is "$stderr" "" "$sentence --json says nothing beside it"
}
