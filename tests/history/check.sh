#!/usr/bin/env bash
# The checker of histories: good ones have an order, each bad one has none for the reason that its first line names; all orders of tiny
# random histories are tried beside it; a long one takes it a moment.
set -u
. tests/tap.sh

python=$(command -v python3) || skip_all "no python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' || skip_all "a python3 older than 3.8"
export PYTHONDONTWRITEBYTECODE=1
here=tests/history
check=("$python" "$here/check.py")

"$python" "$here"/fixtures.py
is $? 0 "of the kept histories the good ones have an order, and the bad ones have none"

run "$python" "$here"/brute.py "${TEST_SEED:-1}" 1000
is "$status" 0 "on tiny histories it agrees with trying every order"
echo "# $stdout"
run "$python" "$here"/brute.py "${TEST_SEED:-1}" 400 retry
is "$status" 0 "and where jobs are retried it never sees what is not there"
echo "# $stdout"

long=$TMPDIR/long.jsonl
"$python" "$here"/simulate.py "${TEST_SEED:-1}" 6000 20 6 >"$long"
run "${check[@]}" "$long"
is "$status" 0 "a long history that is right by making has an order"
echo "# $stdout"
run "${check[@]}" "$long" "$here/bad/job_twice.jsonl"
is "$status" 1 "with two bad lines among it, it has none"

run "${check[@]}"
is "$status" 2 "without a history it says how it is called"
run "${check[@]}" "$TMPDIR/absent.jsonl"
is "$status" 2 "a file that is not there is no history"
echo '{"client": "ann", "n": 1}' >"$TMPDIR/short.jsonl"
run "${check[@]}" "$TMPDIR/short.jsonl"
like "$status $stderr" "2 check: *short.jsonl:1: *" "a line that is none is named"
printf '%s\n' '{"client":"a","n":1,"call":1,"back":null,"ask":"sample","key":"k","lineage":"l"}' \
    '{"client":"a","n":1,"call":1,"back":2,"ask":"sample","key":"k","lineage":"l","answer":"accepted","job":1}' >"$TMPDIR/cut.jsonl"
printf '{"client":"a","n":2,"call":3,"ba' >>"$TMPDIR/cut.jsonl"
run "${check[@]}" "$TMPDIR/cut.jsonl"
like "$status $stdout" "0 one order explains 1 operations*" "of a writer that was killed everything but the last half line counts"
done_testing
