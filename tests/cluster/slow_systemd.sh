#!/usr/bin/env bash
# The user unit under a real systemd --user, in a mount namespace of its own (root): started, killed, restarted, stopped.
# timeout: 180
# shellcheck disable=SC2317
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers

manager=/lib/systemd/systemd
if ! [[ -x $manager && $EUID == 0 ]] || ! unshare -m true 2>/dev/null || ! command -v curl >/dev/null; then
    skip_all "a systemd of our own needs root, a mount namespace and curl"
fi

new_home
mkdir -p "$home/runtime" "$home/.config/systemd/user" "$home/.config/engram" "$home/usr/bin"
chmod 700 "$home/runtime"
ln -s "$ENGRAM_BIN"/engram* "$home/usr/bin"
coordinator/systemd/install "" "$home/usr"
cp "$home/usr/lib/systemd/user/engram-coordinator.service" "$home/.config/systemd/user"
echo "ENGRAM_OPTIONS=--ranks 1 --groups 1 --web 0" >"$home/.config/engram/coordinator.env"
export XDG_RUNTIME_DIR=$home/runtime
export ENGRAM_HOME=$home/.local/state/engram
# /run/systemd/system says that a machine runs systemd.
HOME=$home XDG_CONFIG_HOME=$home/.config unshare -m bash -c '
    mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/system
    exec '"$manager"' --user --unit=basic.target --log-target=console' >"$home/systemd.log" 2>&1 &
systemd=$!
end_systemd() {
    kill_all TERM "$systemd"
    end_homes
}
trap end_systemd EXIT
control() { systemctl --user "$@"; }
manager_answers() { control list-units; }
until_true 20 manager_answers || skip_all "systemd --user does not start here: $(tail -n 1 "$home/systemd.log")"

main_pid() { control show -P MainPID engram-coordinator; }
state() { control show -P ActiveState engram-coordinator; }
group_pid() { sed -n '1s/ .*//p' "$ENGRAM_HOME/run/group-1.pid"; }
has_group() { grep -q '^engram_groups 1$' < <(curl -s "$(<"$ENGRAM_HOME/run/web")/metrics"); }

run control start engram-coordinator
is "$status $(state)" "0 active" "systemctl start returns when the coordinator is ready"
until_true 20 has_group
ok "its worker group comes" has_group
like "$(control show -P StatusText engram-coordinator)" "*jobs wait, * worker groups" "systemctl status tells how it stands"
first=$(main_pid)
group=$(group_pid)
kill_all KILL "$first"
restarted() { [[ $(state) == active && $(main_pid) != "$first" ]]; }
until_true 30 restarted
is "$(state)" active "a coordinator that was killed is started again"
until_true 20 has_group
is "$(group_pid)" "$group" "and its worker group has lived on"
ok "as the same process" kill -0 "$group"

run control restart engram-coordinator
is "$status $(state)" "0 active" "systemctl restart goes on where things stood"
run control stop engram-coordinator
is "$status $(state)" "0 inactive" "systemctl stop ends it"
until_true 10 no_processes
is "$(processes "$ENGRAM_HOME")" "" "with its worker groups"
done_testing
