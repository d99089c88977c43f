#!/usr/bin/env bash
# The units as they are installed, and what a coordinator tells a service manager. slow_systemd.sh tries a real one.
# timeout: 60
# shellcheck disable=SC2317
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh

# Where they go, and whether systemd understands them. Programs must be there, so they are links.
new_home
prefix=$home/usr
coordinator/systemd/install "" "$prefix"
mkdir "$prefix/bin"
ln -s "$ENGRAM_BIN/engram" "$ENGRAM_BIN/engram-coordinator" "$prefix/bin"
user=$prefix/lib/systemd/user/engram-coordinator.service
system=$prefix/lib/systemd/system/engram-coordinator@.service
ok "the unit of a person is installed" test -f "$user"
ok "and the one of a machine" test -f "$system"
is "$(grep -l '@PREFIX@' "$user" "$system")" "" "with the folder of the programs"
# Not a whole installation: what it does not name it must not refuse either.
if command -v systemd-analyze >/dev/null; then
    mkdir "$home/runtime"
    run env XDG_RUNTIME_DIR="$home/runtime" systemd-analyze verify --user "$user"
    is "$status $stderr" "0 " "systemd finds nothing wrong with the first"
    cp "$system" "$home/engram-coordinator@pets.service"
    run systemd-analyze verify "$home/engram-coordinator@pets.service"
    is "$status $stderr" "0 " "nor with the second"
else
    skip "no systemd-analyze" "systemd finds nothing wrong with them"
fi

# A datagram each time. Perl is in every Debian.
command -v perl >/dev/null || { skip "no perl" "a service manager is told"; done_testing; }
listen() {
    perl -MIO::Socket::UNIX -MSocket -e '
        my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; $| = 1;
        print "listens\n"; while (1) { $s->recv(my $m, 4096); $m =~ s/\n/ /g; print "$m\n" }' "$1" >"$home/told" &
    listener=$!
    until_true 10 test -s "$home/told"
}
told() { grep -q "$1" "$home/told"; }
listen "$home/notify"
NOTIFY_SOCKET=$home/notify WATCHDOG_USEC=400000 "$ENGRAM_BIN/engram-coordinator" --home "$home" --foreground --no-workers 2>"$home/log.txt" &
pid=$!
until_true 10 told '^READY=1$'
is "$(sed -n 2p "$home/told")" "READY=1" "a coordinator says when it is ready, and nothing before"
is "$(engram lineage list --json | jq -c .lineages)" "[]" "and is"
until_true 10 told '^WATCHDOG=1 STATUS=0 jobs wait, 0 run, 0 worker groups$'
ok "it says that its loop turns, and how it stands" told '^WATCHDOG=1 STATUS='
kill_all TERM "$pid"
wait "$pid"
is $? 0 "and leaves when it is told to"
until_true 10 told '^STOPPING=1$'
ok "saying so" told '^STOPPING=1$'
kill_all TERM "$listener"
wait "$listener" 2>/dev/null

# Another process is watched, or nobody listens: no sign of life, and no harm.
rm "$home/notify"
listen "$home/notify"
NOTIFY_SOCKET=$home/notify WATCHDOG_USEC=400000 WATCHDOG_PID=1 "$ENGRAM_BIN/engram-coordinator" --home "$home" --foreground --no-workers 2>"$home/log.txt" &
pid=$!
until_true 10 told '^STATUS='
kill_all TERM "$pid"
wait "$pid"
is "$(grep -c WATCHDOG "$home/told")" 0 "where another process is watched there is no sign of life"
kill_all TERM "$listener"
wait "$listener" 2>/dev/null
NOTIFY_SOCKET=$home/nobody WATCHDOG_USEC=400000 "$ENGRAM_BIN/engram-coordinator" --home "$home" --foreground --no-workers 2>"$home/log.txt" &
pid=$!
answers() { engram lineage list; }
until_true 10 answers
ok "where nobody listens it works all the same" answers
kill_all TERM "$pid"
wait "$pid"
done_testing
