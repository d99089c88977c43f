#!/usr/bin/env bash
# An operator opens the door, people come over the network with keys: as they type it.
# timeout: 180
# shellcheck disable=SC2317 # functions that until_true calls
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh

[[ -x $ENGRAM_BIN/engram-door ]] || skip_all "engram-door is not built"
people=$(mktemp -d "$TMPDIR/people.XXXXXX")

# as NAME COMMAND...: the command of somebody with a folder of settings of their own and no home.
as() {
    local name=$1
    shift
    (
        unset ENGRAM_HOME
        export HOME=$people/$name XDG_CONFIG_HOME=$people/$name/config
        mkdir -p "$XDG_CONFIG_HOME"
        "$ENGRAM_BIN/engram" "$@"
    )
}
profile() { cat >"$people/$1/config/engram/connect"; }

new_home
run engram up --no-workers --listen tcp://127.0.0.1:0 --listen-workers tcp://127.0.0.1:0
is "$status" 0 "a coordinator starts with both doors open"
users_at=$(sed 's/^up //' "$home/run/door-users")
workers_at=$(sed 's/^up //' "$home/run/door-workers")
like "$users_at" "tcp://127.0.0.1:*" "users come in where it says"
is "$(stat -c %a "$home/keys" "$home/keys/coordinator.key")" $'700\n600' "its secret key is its owner's alone"
server=$home/keys/coordinator.key.pub

run as ann admin keygen
is "$status" 0 "ann makes a key"
key=$stdout
is "$(stat -c %a "$people/ann/config/engram/key")" 600 "which is hers alone"
is "$key" "$(cat "$people/ann/config/engram/key.pub")" "its public half is printed"
run as ann admin keygen
like "$status $stderr" "3 engram: *is there already*" "a second one does not write over it"

run as ann queue
like "$status $stderr" "4 engram: no coordinator is running *" "without a profile she asks a coordinator of her own, which is not there"
profile ann <<<"connect $users_at"
run as ann queue
like "$status $stderr" "2 engram: --server-key is needed*" "half a profile says what is missing"
printf '# the cluster\nconnect %s\nserver-key %s\nkey key\n' "$users_at" "$(cat "$server")" | profile ann
run as ann queue
is "$status $stderr" "4 engram: $users_at does not let our key in: its operator adds it with engram admin add NAME --key '$key'" \
    "a key that nobody knows is told what to do"
printf 'connect %s\nserver %s\n' "$users_at" "$(cat "$server")" | profile ann
run as ann queue
like "$status $stderr" "2 engram: *config/engram/connect:2: expected *" "a slip in the profile is found"
printf 'connect %s\nserver-key %s\nkey key\n' "$users_at" "$(cat "$server")" | profile ann

run engram admin add ann --key "$people/ann/config/engram/key.pub" --max-queued 5
is "$status $stdout" "0 ann is added, role user" "the operator adds her"
run as ann queue
is "$status $stderr" "0 nothing waits or runs; engram queue --all shows what has ended" "and she is let in"
run as ann lineage create pets --base "$base"
is "$status" 0 "she makes a lineage"
is "$(engram lineage list --json | jq -r '.lineages[] | "\(.lineage) \(.owner)"')" "pets ann" "which is hers"

run as bob admin keygen --out "$people/bob/my.key"
bob=(--connect "$users_at" --server-key "$server" --key "$people/bob/my.key")
engram admin add bob --key "$people/bob/my.key.pub" >/dev/null
run as bob lineage list "${bob[@]}" --json
is "$(jq '.lineages | length' <<<"$stdout")" 0 "bob, without a profile, sees nothing of it"
run env ENGRAM_CONNECT="$users_at" ENGRAM_SERVER_KEY="$server" ENGRAM_KEY="$people/bob/my.key" "$ENGRAM_BIN/engram" queue
is "$status" 0 "the environment will do, too"
run as bob admin list "${bob[@]}" --json
is "$(jq -r '[.users[].user] | join(" ")' <<<"$stdout")" bob "and of people only himself"
run as bob admin log "${bob[@]}"
like "$status $stderr" "4 engram: *admin*" "the record is for admins"
chmod 644 "$people/bob/my.key"
run as bob queue "${bob[@]}"
like "$status $stderr" "4 engram: *can be read by others: chmod 600*" "a secret that lies open is not used"
chmod 600 "$people/bob/my.key"

run as node admin keygen --out "$people/node/key"
engram admin add node --role worker --key "$people/node/key.pub" >/dev/null
node=(--connect "$users_at" --server-key "$server" --key "$people/node/key")
run as node queue "${node[@]}"
like "$status $stderr" "4 engram: * does not let our key in*" "a worker's key is for the other door"
if [[ -x $ENGRAM_BIN/engram-worker ]]; then
    "$ENGRAM_BIN/engram-worker" --connect "$workers_at" --server-key "$server" --key "$people/node/key" --home "$home" \
        --name far-1 --threads 1 2>"$home/far.log" &
    worker=$!
    has_group() { [[ $(engram up --json | jq .groups) == 1 ]]; }
    ok "a worker group comes in over the network" until_true 30 has_group
    kill_all TERM "$worker"
    wait "$worker"
else
    skip "no MPI in this build" "a worker group comes in over the network"
fi

run engram admin list
like "$stdout" "*ann *user*bob *user*node *worker*" "the operator sees them all"
is "$(grep -c secret <<<"$stdout")" 0 "and no secret"
run engram admin revoke anna
like "$status $stderr" "3 engram: there is no user anna; did you mean ann?" "a slip is helped"
run engram admin revoke ann
like "$status $stdout" "0 ann is not heard any more*" "ann is revoked"
run as ann queue
like "$status $stderr" "4 engram: *" "and not let in any more"
run engram admin add ann --weight 2
is "$stdout" "ann is changed, role user" "she is added again"
is "$(engram admin list --json | jq -r '.users[] | select(.user == "ann") | "\(.weight) \(.max_queued) \(.revoked)"')" "2 5 false" \
    "with what was known of her"
is "$(as ann lineage list --json | jq -r '.lineages[].lineage')" pets "and has her lineage back"
engram admin add ann --role admin >/dev/null
run as carol admin keygen
run as ann admin add carol --key "$people/carol/config/engram/key.pub"
is "$status $stdout" "0 carol is added, role user" "an admin may be far away"
run as ann admin revoke carol
is "$status" 0 "and take away again"
run as ann admin list --json
is "$(jq -r '.users | length' <<<"$stdout")" "$(engram admin list --json | jq -r '.users | length')" "and sees all"
run engram admin log
like "$stdout" "*ann*carol*" "the record has who did it"
like "$stdout" "*revoke*ann*" "all this is on record"

run engram up --home "$home/other" --no-workers --listen "$users_at"
like "$status $stderr" "4 engram: the coordinator did not start: *$users_at*Address already in use*" "an address that is taken is said at the start"
run engram up --home "$home/other" --no-workers --listen tcp://127.0.0.1
like "$status $stderr" "4 engram: the coordinator did not start: *tcp://*" "so is one without a port"

old=$(pgrep -f "engram-door --for users .*$home/" | head -n 1)
kill_all KILL "$old"
run as ann queue
is "$status" 0 "a door that was killed is back before anybody notices"
kill_all KILL "$(coordinator_pid)"
gone() { [[ -z $(pgrep -f "engram-door .*$home/") ]]; }
ok "doors die with their coordinator" until_true 5 gone
engram up --no-workers --listen "$users_at" >/dev/null
run as ann queue
is "$status" 0 "after a restart the same key and profile do"
run engram down
is "$status" 0 "engram down"
ok "no process is left" until_true 5 no_processes
is "$(find "$home/run" -mindepth 1 ! -name coordinator.lock)" "" "and nothing in run/"
done_testing
