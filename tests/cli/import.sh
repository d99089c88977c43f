#!/usr/bin/env bash
# Concepts as other programs keep them become folders that learn reads: all of a list or none of it.
set -u
. tests/tap.sh

photos=$PWD/tests/cluster/photos
cd "$TMPDIR" || exit 1
mkdir -p data/pet_dog1 data/things_cup data/scene_wall prompts
cp "$photos"/rex/*.png data/pet_dog1 && cp "$photos"/mug/*.png data/things_cup && cp "$photos"/rex/1.png data/scene_wall
echo "a cup on a table" >data/things_cup/1.txt
printf 'Photo of a {}.\n{} swimming.\r\n\na sculpture of {}' >prompts/dog.txt
printf 'The {1} beside the {0}\na {} and {9}\n' >prompts/pet_things.txt
import() { run "$ENGRAM_BIN/engram" import --home "$TMPDIR" "$@"; }
entry() { printf '{"instance_prompt": "%s", "class_prompt": "%s", "instance_data_dir": "./data/%s", "class_data_dir": "x"%s}' "$@"; }

# ---- concepts_list.json
dog=$(entry "photo of a <new1> dog" dog pet_dog1 '')
cup=$(entry "photo of a <new2> cup" "a photo of a cup" things_cup '')
echo "[$dog, $cup]" >concepts_list.json
import concepts_list.json --out one
like "$status $stdout" "0 *pet_dog1 *<new1> *dog *animal *2 images, 2 captions*things_cup *<new2> *cup *object*2 concepts in one;*" \
    "a list of concepts is read"
is "$(cat one/pet_dog1/concept.yaml one/pet_dog1/1.txt)" $'token: "<new1>"\nclass: "dog"\nkind: animal\nphoto of a dog' \
    "with token, class and the caption without its token"
is "$(cat one/things_cup/1.txt)" "a cup on a table" "a caption beside the image is kept"
ok "the images are the same bytes" cmp one/pet_dog1/2.png data/pet_dog1/2.png
ok "and learn would take them" "$ENGRAM_BIN/engram" check --home "$TMPDIR" one/pet_dog1 one/things_cup
import concepts_list.json --out one
like "$status $stderr" "3 engram: one is there already*" "a folder that is there is not touched"

# ---- CustomConcept101
echo "[$(entry "photo of a <new1> dog" dog pet_dog1 ', "prompt_filename": "prompts/dog.txt"'), $(entry "photo of a <new1> cup" cup things_cup ''),
  $(entry "photo of a <new1> wall" wall scene_wall '')]" >dataset.json
import dataset.json --out two --json
is "$(jq -r '.concepts[] | "\(.token) \(.kind)"' <<<"$stdout")" $'<pet_dog1> animal\n<things_cup> object\n<scene_wall> scene' \
    "a token that all share becomes the folder's name, the category a kind"
is "$(cat two/prompts/pet_dog1.txt)" $'Photo of a <pet_dog1> dog.\n<pet_dog1> dog swimming.\na sculpture of <pet_dog1> dog' \
    "prompts get the token and the class word"
mkdir lists && echo "[[$dog, $cup, {\"prompt_filename_compose\": \"prompts/pet_things.txt\"}], [$dog]]" >lists/sets.json
import lists/sets.json --root . --out three
is "$status $(cat three/prompts/pet_dog1+things_cup.txt)" $'0 The <new2> cup beside the <new1> dog\na <new1> dog and {9}' \
    "concepts of a set get their prompts together, and each is there once"
is "$(echo three/*)" "three/pet_dog1 three/prompts three/things_cup" "in one folder each"

# ---- folders
mkdir -p "train/10_sks dog" "train/5_mia orange cat" && cp "$photos"/rex/1.png "train/10_sks dog" && cp "$photos"/mug/1.png "train/5_mia orange cat"
import train --out four
is "$status $(cat four/sks/concept.yaml four/mia/concept.yaml | grep -v kind)" \
    $'0 token: "<sks>"\nclass: "dog"\ntoken: "<mia>"\nclass: "orange cat"' "folders named repeats_token class are read"
like "$stdout" "*2 of them have images without a caption*" "and that nobody wrote captions is said"
import data/pet_dog1 --token '<rex>' --class dog --out five
is "$status $(head -n 2 five/pet_dog1/concept.yaml)" $'0 token: "<rex>"\nclass: "dog"' "a folder of images is one concept"
import "$photos" --out six
is "$(sort six/*/concept.yaml | grep -c '^token: "<')" "$(find "$photos" -name concept.yaml | wc -l)" "a folder of ours keeps its own tokens"

# ---- what is wrong is told together, and nothing is made
echo "[$(entry "photo of a <new1> dog" dog nowhere ''), {\"class_prompt\": \"cup\"}, 7, $(entry "a <new1> cup" cup things_cup ', "prompt_filename": "none.txt"')]" >bad.json
echo junk >data/things_cup/notes.md
import bad.json --out bad
is "$status" 3 "a list with mistakes is refused"
for line in "concept 1 names the folder ./data/nowhere" 'concept 2 has no "instance_data_dir"' "concept 3 is neither" \
    "concept 4 names the prompts ./none.txt" "notes.md is not a PNG"; do
    like "$stderr" "*$line*" "each is told: $line"
done
is "$(echo bad*)" "bad.json" "and nothing was made"
rm data/things_cup/notes.md
for text in '{}' '[]' '[' '[{"class_prompt": "a", "class_prompt": "b"}]' '"x"'; do
    echo "$text" >odd.json
    import odd.json --out bad
    like "$status $(grep -c . <<<"$stderr")" "3 1" "$text is refused with one line"
done
import nowhere.json --out bad
is "$status" 3 "so is a list that is not there"
mkdir -p seven.part/old && touch seven.part/old/x
import concepts_list.json --out seven
is "$status $(echo seven*) $(echo seven/*)" "0 seven seven/pet_dog1 seven/things_cup" "what a killed run left is begun anew"
done_testing
