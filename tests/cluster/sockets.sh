#!/usr/bin/env bash
# Who may serve a home: one coordinator, on sockets of its own; what others left there, or listen on, is told from it.
# timeout: 120
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh

new_home
run engram up --no-workers
is "$status" 0 "a coordinator starts"
like "$stdout" "up: coordinator pid $(coordinator_pid), 0 worker groups of 0 ranks in all, home $home" "and says where"
is "$(stat -c %a "$home/run/engram.sock" "$home/run/worker.sock" | sort -u)" 600 "its sockets are its owner's alone"
is "$(stat -c %a "$home/run")" 700 "and so is their folder"
pid=$(coordinator_pid)
run engram up
is "$status" 0 "a second engram up is fine"
like "$stdout" "already up: coordinator pid $pid, *" "and finds the first"
run "$ENGRAM_BIN/engram-coordinator" --home "$home" --no-workers
is "$status" 3 "a second coordinator of one home is refused"
like "$stderr" "engram-coordinator: a coordinator serves $home already, pid $pid: *engram down* stops it" "and names the first"
engram lineage create pets >/dev/null

kill_all KILL "$pid"
ok "the socket of a coordinator that was killed is still there" test -S "$home/run/engram.sock"
run engram queue
is "$status" 4 "asking a dead coordinator is a matter of the environment"
like "$stderr" "engram: the coordinator here has died *; engram up starts it again, nothing is lost" "and says what to do"
run engram up --no-workers
is "$status" 0 "its socket is replaced"
is "$(engram lineage list --json | jq -r '.lineages[].lineage')" pets "and what it had accepted is there"
engram down >/dev/null
is_clean "after a kill"
run engram down
is "$status $stderr" "0 nothing is running here" "a second engram down is fine"

# Another program listens there. Perl is in every Debian.
if command -v perl >/dev/null; then
    perl -MIO::Socket::UNIX -e '
        my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $ARGV[0], Listen => 5) or die;
        print "ready\n"; $| = 1; sleep 300' "$home/run/engram.sock" >"$home/listens" &
    other=$!
    until_true 10 test -S "$home/run/engram.sock"
    run engram up --no-workers
    is "$status" 4 "a socket on which another program listens is not taken from it"
    like "$stderr" "engram: the coordinator did not start: *$home/run/engram.sock*" "and is named"
    ok "the other program still listens" test -S "$home/run/engram.sock"
    kill_all TERM "$other"
    wait "$other" 2>/dev/null
    run engram up --no-workers
    is "$status" 0 "when it is gone, the home is free"
    engram down >/dev/null
else
    skip "no perl" "a socket on which another program listens is not taken from it"
fi

long=$home/$(printf 'x%.0s' {1..100})
run engram up --home "$long" --no-workers
is "$status" 4 "a home whose socket would have too long a path is refused"
like "$stderr" "engram: *choose a shorter home*" "and says why"
is "$(wc -l <<<"$stderr")" 1 "in one line"
: >"$home/file"
run engram up --home "$home/file" --no-workers
like "$status $stderr" "4 engram: *$home/file*" "a home that is a file is refused"
done_testing
