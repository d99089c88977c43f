#!/usr/bin/env bash
# shellcheck disable=SC2016 # error lines name variables
# Captions that nobody wrote: a list, a program, a vision model; each said where it came from, none invented.
set -u
. tests/tap.sh

engram=$ENGRAM_BIN/engram
photos=tests/cluster/photos
folder=$TMPDIR/rex
check() { run "$engram" check --token '<rex>' --class dog --home "$TMPDIR" "$@"; }
sources() { jq -r '.concepts[0].images[] | "\(.caption_source): \(.caption)"' <<<"$stdout"; }
fresh() { rm -rf "$folder" && mkdir "$folder" && cp "$photos"/rex/*.png "$folder"; }

# ---- metadata.jsonl
fresh
cat >"$folder/metadata.jsonl" <<'JSON'
{"file_name": "1.png", "text": "a dog  from a list", "width": 64}

{"file_name": "2.png", "text": "a second dog"}
JSON
echo "a dog from its own file" >"$folder/2.txt"
check --json "$folder"
is "$status $(sources)" $'0 metadata.jsonl: a dog from a list\nx.txt: a dog from its own file' "a list gives captions, a file beside the image wins"
check "$folder"
like "$stdout" "*1.png *metadata.jsonl *a dog from a list*2.png *x.txt *own file*" "and the table says which"
printf '{"file_name": "1.png", "text": "a"}\n{"file_name": "9.png", "text": "b"}\nnonsense\n{"file_name": "../1.png", "text": "c"}\n{"file_name": "1.png", "text": "d"}\n{"text": 3}\n' \
    >"$folder/metadata.jsonl"
check "$folder"
is "$status" 3 "a list with mistakes is refused"
for line in ":2: there is no image 9.png" ":3:" ":4: the line names a file in another folder" \
    ":5: the line names a file that an earlier line has" ':6: the line has no "file_name"'; do
    like "$stderr" "*metadata.jsonl$line*" "with its place: $line"
done

# ---- a program
fresh
cat >"$TMPDIR/teller" <<'SH'
#!/bin/sh
echo "a dog called $(basename "$2") $1"
SH
chmod +x "$TMPDIR/teller"
check --json --caption-command "'$TMPDIR/teller' \"in the rain\" {image}" "$folder"
is "$status $(sources)" $'0 command: a dog called 1.png in the rain\ncommand: a dog called 2.png in the rain' "a program is asked, its words split as a shell would"
is "$(echo "$folder"/*.txt)" "$folder/*.txt" "and nothing is written"
check --caption-command "$TMPDIR/teller x {image}" --save-captions "$folder"
is "$status $(cat "$folder/1.txt")" "0 a dog called 1.png x" "unless captions are to be saved"
check --json --caption-command "false {image}" "$folder"
is "$status $(sources | head -n 1)" "0 x.txt: a dog called 1.png x" "a caption that is there is not asked for"
fresh
check --caption-command "false {image}" "$folder"
like "$status $stderr" "4 engram: caption command false for $folder/1.png exited with 1; try it by hand" "a program that fails is one line"
check --caption-command "true {image}" "$folder"
like "$status $stderr" "3 engram: caption command true has no word for *1.png" "one without a word too"
check --caption-command "no-such-program {image}" "$folder"
like "$status $stderr" "4 *no-such-program: No such file*exited with 127*" "one that is not there"
check --caption-command "yes {image}" "$folder"
like "$status $stderr" "4 *yes for *1.png writes without end and was ended" "one that never stops writing"
check --caption-command "$TMPDIR/teller" "$folder"
like "$status $stderr" "2 *does not say where the image goes; write it like*" "a command without {image} is refused"
check --caption-command "'x {image}" "$folder"
like "$status $stderr" "2 *a quotation mark without its pair*" "and one that is not closed"

# ---- a vision model
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O1 tests/cli/support/vision_server.c -o "$TMPDIR/server" || exit 1
serve() { # STATUS BODY ...
    rm -f "$TMPDIR/port" "$TMPDIR/asked"
    "$TMPDIR/server" "$TMPDIR/port" "$TMPDIR/asked" "$@" &
    server=$!
    until [[ -s $TMPDIR/port ]]; do kill -0 "$server" || exit 1; done
    ENGRAM_CAPTION_URL=http://127.0.0.1:$(<"$TMPDIR/port")/v1/
    export ENGRAM_CAPTION_URL
}
stop() { kill "$server" && wait "$server" 2>/dev/null; }
says() { printf '{"choices":[{"message":{"role":"assistant","content":"%s"}}]}' "$1"; }

check --caption-endpoint "$folder"
like "$status $stderr" '2 *set $ENGRAM_CAPTION_URL*' "without an address nobody is asked"
export ENGRAM_CAPTION_MODEL=eyes ENGRAM_CAPTION_KEY=hush
serve 200 "$(says 'a dog on\n a lawn')" 200 "$(says 'a dog at sea')"
check --json --caption-endpoint "$folder"
is "$status $(sources)" $'0 endpoint: a dog on a lawn\nendpoint: a dog at sea' "a vision model is asked"
is "$(head -n 1 "$TMPDIR/asked")" " [/v1/chat/completions] [Bearer hush] [eyes] [dog] [iVBORw0KGgo]" "with key, model, class word and a PNG"
check "$folder" --json
is "$(sources | cut -d: -f1 | sort -u) $(wc -l <"$TMPDIR/asked")" "class word 2" "and only when it is wished"
stop
serve 503 '{"error":{"message":"loading"}}' 200 "$(says 'a dog')"
check --json --caption-endpoint "$folder"
is "$status $(wc -l <"$TMPDIR/asked")" "0 3" "a busy server is asked again"
stop
unset ENGRAM_CAPTION_KEY
serve 401 '{"error":{"message":"no key, no words"}}'
check --caption-endpoint "$folder"
like "$status $stderr" "4 engram: http://*refused $folder/1.png with status 401: no key, no words" "a refusal is told in the server's words"
is "$(cut -d' ' -f3 "$TMPDIR/asked")" "[-]" "and without a key none is sent"
stop
serve 302 ''
check --caption-endpoint "$folder"
like "$status $stderr" "4 *with status 302*" "photos follow no redirect"
stop
serve 200 'nonsense'
check --caption-endpoint "$folder"
like "$status $stderr" "4 *without choices*chat completions?" "an answer in another language is one line"
stop
serve 0 ''
check --caption-endpoint "$folder"
like "$status $stderr" "75 *cannot be asked about $folder/1.png*" "a server that hangs up is one line"
stop
check --caption-endpoint "$folder"
like "$status $stderr" '75 *cannot be asked*address from $ENGRAM_CAPTION_URL?' "so is one that is not there"
check --caption-endpoint --caption-command "true {image}" "$folder"
is "$status" 2 "both at once are refused"

# ---- what a base model would not read
fresh
printf 'a dog%.0s on a walk ' {1..9} >"$folder/1.txt"
check --base examples/storybook/model "$folder"
like "$status $stderr" "3 engram: caption of $folder/1.png has * tokens with start and end; the text encoder reads 32, so \"*on a walk\" would be lost*" "a caption over the limit is refused with what would be lost"
check "$folder"
is "$status" 0 "without a base model nobody knows the limit"
check --base examples/storybook/no-model "$folder"
is "$status" 3 "a base model that is not there is refused"
done_testing
