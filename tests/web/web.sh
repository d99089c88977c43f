#!/usr/bin/env bash
# The pages of a living coordinator, over a socket: well-formed, right, and gone with it. docs/operations.md names every number.
# timeout: 120
# shellcheck disable=SC2317
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh

page() { curl -sS --max-time 10 -H "$1" -o "$home/page" -w '%{http_code} %{content_type}' "${@:3}" "$url$2"; }
if ! command -v curl >/dev/null; then
    # GET and HEAD by hand: status and type like curl's, the body in $home/page.
    page() {
        local line code type='' method=GET at=${url#http://}
        [[ ${3:-} != -X ]] || method=$4
        exec 3<>"/dev/tcp/${at%:*}/${at#*:}"
        printf '%s %s HTTP/1.1\r\nHost: x\r\n%s\r\nConnection: close\r\n\r\n' "$method" "$2" "$1" >&3
        read -r _ code _ <&3
        while IFS= read -r line <&3 && line=${line%$'\r'} && [[ $line ]]; do
            [[ $line != [Cc]ontent-[Tt]ype:* ]] || type=${line#*: }
        done
        cat <&3 >"$home/page"
        exec 3>&-
        echo -n "$code $type"
    }
fi
number() { sed -n "s/^engram_$1 //p" "$home/page"; }
metrics() { page 'A: b' /metrics >/dev/null && awk -f tests/web/exposition.awk "$home/page" >"$home/wrong"; }
is_number() { metrics && [[ $(number "$1") == "$2" ]]; }

# The reader of this test sees what it should.
wrong() { like "$(printf '%b' "$1" | awk -f tests/web/exposition.awk)" "$2" "$3"; }
wrong '# HELP a_total b\n# TYPE a_total counter\na_total 1\n' '' "a page of numbers is read"
wrong 'a_total 1\n' '*without HELP and TYPE*' "a number without its type is seen"
wrong '# HELP a b\n# TYPE a gauge\na 1 \n' '*one blank*' "so is a blank at an end"
wrong '# HELP a b\n# TYPE a gauge\na{x="1",x="2"} 1\n' '*labels*' "a label twice"
wrong '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 1\n' '*there before*' "a sample twice"
wrong '# HELP a b\n# TYPE a counter\na 1\n' '*end in _total*' "a counter that is not called one"
wrong '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n' '*cumulative*' "a bucket that falls"
wrong '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 0\na_sum 1\na_count 1\n' '*+Inf*' "a histogram without its last bucket"

new_home
run engram up --no-workers --web 99999
like "$status $stderr" "4 *--web 99999: expected PORT, ADDRESS:PORT*" "a port that is none is refused, by its name"
run engram up --no-workers --web 0
is "$status" 0 "a coordinator with pages starts"
url=$(<"$home/run/web")
like "$url" "http://127.0.0.1:[1-9]*" "it says where they are, on this machine alone"
until_true 10 is_number up 1
is "$(page 'A: b' /healthz) $(<"$home/page")" "200 text/plain; charset=utf-8 well" "it is well"
is "$(page 'A: b' /metrics)" "200 text/plain; version=0.0.4; charset=utf-8" "its numbers have their type"
is "$(awk -f tests/web/exposition.awk "$home/page")" "" "and are well-formed"
is "$(page 'A: b' /nothing)" "404 text/plain; charset=utf-8" "what is not there is not found"
is "$(page 'A: b' /metrics -X DELETE)" "405 text/plain; charset=utf-8" "nothing can be changed"
like "$(page "A: $(printf 'x%.0s' {1..20000})" /metrics)" "4?? *" "headers without end are refused"

# What happens is counted.
engram lineage create pets >/dev/null
engram learn --lineage pets "$photos/rex" --config "$quick" --no-evaluate >/dev/null 2>&1
engram learn --lineage pets "$photos/mug" --config "$quick" --no-evaluate >/dev/null 2>&1
engram cancel 2 >/dev/null
engram cancel 77 2>/dev/null
until_true 10 is_number 'jobs_ended_total{state="cancelled"}' 1
until_true 10 is_number 'refused_total{code="not-found"}' 1
is "$(<"$home/wrong")" "" "numbers of a coordinator at work are well-formed"
is "$(number 'submissions_total{kind="learn"}') $(number 'jobs{state="queued"}') $(number 'lineages') $(number users)" "2 1 1 1" \
    "submissions, jobs, lineages and users are counted"
is "$(number 'refused_total{code="not-found"}')" 1 "so are refusals"
ok "a job that waits grows old" awk -v n="$(number oldest_waiting_seconds)" 'BEGIN { exit !(n > 0) }'
ok "the database has a size" test "$(number database_bytes)" -gt 0
ok "and the disk has room" test "$(number disk_free_bytes)" -gt 0
is "$(grep -cE 'rex|mug|pets|photos' "$home/page")" 0 "no name of a lineage, concept or file is shown"

# Every number is explained, and nothing else is.
# shellcheck disable=SC2016 # the backticks are Markdown's
is "$(grep -o '^| `engram_[a-z_]*`' docs/operations.md | tr -d '|` ' | sort)" "$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$home/page" | sort)" \
    "docs/operations.md explains every number"

# A disk that takes nothing: no file may grow.
is_health() { [[ $(page 'A: b' /healthz) == "$1 "* ]]; }
if command -v prlimit >/dev/null; then
    prlimit --pid "$(coordinator_pid)" --fsize=1:
    run engram lineage create never
    is "$status" 4 "what cannot be written is refused"
    until_true 10 is_health 503
    is "$(page 'A: b' /healthz)" "503 text/plain; charset=utf-8" "and seen"
    like "$(<"$home/page")" "*" "with the reason"
    ok "in numbers, too" is_number up 0
    prlimit --pid "$(coordinator_pid)" --fsize=unlimited:
    until_true 10 is_health 200
    is "$(page 'A: b' /healthz)" "200 text/plain; charset=utf-8" "it is well again by itself"
    is "$(engram lineage list --json | jq -r '[.lineages[].lineage] | join(" ")')" pets "with what was promised, and no more"
else
    skip "no prlimit" "a disk that takes nothing is seen"
fi

port=${url##*:}
home_with_pages=$home
new_home
run engram up --no-workers --web "$port"
like "$status $stderr" "4 *--web $port: something listens there already*" "a port that is taken is refused"
home=$home_with_pages ENGRAM_HOME=$home_with_pages
engram down >/dev/null
until_true 5 no_processes
is "$(processes "$home")$(find "$home/run" -mindepth 1 ! -name coordinator.lock)" "" "nothing is left of it"
done_testing
