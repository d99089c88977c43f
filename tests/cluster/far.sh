#!/usr/bin/env bash
# People and worker groups without any part in the home's file system: the same commits and pictures, over the link alone.
# timeout: 240
# shellcheck disable=SC2317,SC2030,SC2031 # functions that until_true calls; HOME of a subshell is meant for it alone
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
[[ -x $ENGRAM_BIN/engram-door ]] || skip_all "engram-door is not built"

# What it should be: with a shared home.
new_home
engram up --no-workers >/dev/null
"$ENGRAM_BIN/engram-worker" --connect "ipc://$home/run/worker.sock" --home "$home" --threads 1 2>/dev/null &
engram lineage create pets --base "$base" >/dev/null
learn=(learn --wait --lineage pets --config "$quick" --preview "a <rex> dog")
engram "${learn[@]}" "$photos/rex" >/dev/null 2>&1
engram sample --lineage pets --config "$quick" --out "$home/near" "a <rex> dog" >/dev/null
expected=$(what_is_learned pets)
near=$home/near
engram down >/dev/null
is "$(wc -l <<<"$expected")" 1 "a concept is learned beside the coordinator"

new_home
far=$(mktemp -d "$TMPDIR/far.XXXXXX")
ln -s "$base" "$far/there"
run engram up --no-workers --listen tcp://127.0.0.1:0 --listen-workers tcp://127.0.0.1:0
is "$status" 0 "a coordinator without worker groups"
server=$(cat "$home/keys/coordinator.key.pub")

# as NAME COMMAND...: somebody with a folder of their own and no home.
as() {
    local name=$1
    shift
    (
        unset ENGRAM_HOME XDG_CACHE_HOME
        export HOME=$far/$name XDG_CONFIG_HOME=$far/$name/config
        mkdir -p "$XDG_CONFIG_HOME"
        "$ENGRAM_BIN/engram" "$@"
    )
}
for name in ann bob node; do as "$name" admin keygen >/dev/null 2>&1; done
key_of() { echo "$far/$1/config/engram/key"; }
engram admin add ann --key "$(key_of ann).pub" >/dev/null
engram admin add bob --key "$(key_of bob).pub" >/dev/null
engram admin add node --role worker --key "$(key_of node).pub" >/dev/null
for name in ann bob; do
    printf 'connect %s\nserver-key %s\nkey key\n' "$(sed 's/^up //' "$home/run/door-users")" "$server" \
        >"$far/$name/config/engram/connect"
done

# A worker group as somebody who cannot enter the home, where the test may become somebody else.
stranger=()
if ((EUID == 0)) && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PWD/$ENGRAM_BIN/engram-worker" -a -r "$base" 2>/dev/null; then
    stranger=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 711 "$far" "$TMPDIR"
    install -d -o 65534 -g 65534 -m 700 "$far/node"
    chown -R 65534:65534 "$far/node"
fi
is "$(stat -c %a "$home")" 700 "the home is its owner's alone"
workers=()
# group NAME BYTES: with a cache of its own.
group() {
    (
        unset ENGRAM_HOME
        export HOME=$far/node TMPDIR=$far/node
        cd "$far/node" || exit
        exec "${stranger[@]}" "$bin/engram-worker" --connect "$(sed 's/^up //' "$home/run/door-workers")" --server-key "$server" \
            --key "$(key_of node)" --cache "$far/node/$1" --cache-bytes "$2" --base-path "$base=$far/there" --name "$1" --threads 1
    ) 2>"$home/$1.log" &
    workers+=("$!")
}
bin=$(cd "$ENGRAM_BIN" && pwd)
objects_of() { find "$1/objects" -type f 2>/dev/null | wc -l; }

group one 100000000
run as ann lineage create pets --base "$base"
is "$status" 0 "ann, elsewhere, makes a lineage"
run as ann "${learn[@]}" "$photos/rex"
is "$status" 0 "and has a concept learned" || echo "#   $stderr"
is "$(what_is_learned pets)" "$expected" "the commit, evaluation, photos and previews are the same objects, byte for byte"
is "$(torn_objects)" "" "all of them whole in the home"
is "$(find "$home/incoming" -type f ! -name "*.sent")" "" "and nothing half-done is left there"
ok "the group has them in its cache" test "$(objects_of "$far/node/one")" -gt 5
run as ann sample --lineage pets --config "$quick" --out "$far/ann/far" "a <rex> dog"
is "$status" 0 "she draws pictures" || echo "#   $stderr"
is "$(cd "$far/ann/far" && sha256sum -- *)" "$(cd "$near" && sha256sum -- *)" "and gets the same ones"
run as ann evaluate --lineage pets --out "$far/ann/report.html"
is "$status" 0 "she has a report" || echo "#   $stderr"
ok "with pictures inside" grep -q 'data:image' "$far/ann/report.html"
run as ann export --lineage pets --out "$far/ann/model"
is "$status" 0 "she exports the lineage" || echo "#   $stderr"
ok "her cache has what she fetched" test "$(objects_of "$far/ann/.cache/engram")" -gt 3

# A group that is killed, and another one with nothing in its cache, and room for next to nothing.
as ann lineage create toys --base "$base" >/dev/null
as ann learn --lineage toys --config "$quick" --preview "a <rex> dog" --no-evaluate "$photos/rex" >/dev/null 2>&1
begun() { grep -q "train: begins" "$home/one.log" && [[ $(grep -c "train: begins" "$home/one.log") == 2 ]]; }
until_true 60 begun
kill_all KILL "${workers[0]}"
wait "${workers[0]}" 2>/dev/null
group two 1
until_true 90 job_is 3 'done'
is "$(what_is_learned toys | cut -f 2)" "$(cut -f 2 <<<"$expected")" "a group that was killed is followed by one elsewhere, with the same commit"
kill_all TERM "${workers[1]}"
wait "${workers[1]}" 2>/dev/null
is "$(objects_of "$far/node/two")" 0 "a cache for one byte is empty when nothing runs"
is "$(find "$far/node/one/objects" -type f | while read -r f; do
    sum=$(sha256sum <"$f")
    [[ "$(basename "$(dirname "$f")")$(basename "$f")" == "${sum%% *}" ]] || echo "$f"
done)" "" "the killed group's cache has whole objects only"

engram down >/dev/null
is_clean far
done_testing
