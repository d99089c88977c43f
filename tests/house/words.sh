#!/usr/bin/env bash
# What may not stand in a tracked file: paths of one machine, promises without a decision. What should not: chapters.
. tests/tap.sh
. tests/house/files.sh

text=$(tracked '*.c' '*.h' '*.cu' '*.def' '*.sh' '*.sbatch' '*.py' '*.md' '*.sql' '*.yaml' '*.html' Makefile .ci/run .ci/deps tests/run |
    grep -v '^tests/house/words.sh$')

search() { xargs grep -InE "$1" /dev/null <<<"$text"; }

# Ann's home is an example.
is "$(search '(^|[^A-Za-z0-9_.}<>*-])/(home|root|work|Users|scratch)/[A-Za-z0-9]' | grep -v '/home/ann/')" "" "no file names a folder of one machine"
is "$(search '\b(TODO|FIXME)\b')" "" "no file promises something for later"
is "$(search '^[ ]*#[ ]*if.*\b(ENGRAM_)?CUDA\b' | grep -v '^pipeline/tensor/cuda/')" "" "CUDA is chosen by files, not by #if"

long=$(xargs wc -l <<<"$text" | awk '$2 != "total" && $1 > 800 && $2 ~ /\.(c|h|cu|sh|py)$/ { print $2 " has " $1 " lines" }')
[[ -z $long ]] || awk '{ print "# uneasy: " $0 }' <<<"$long"
is "$(grep -E ' has ([2-9]|1[0-9])[0-9]{3} lines' <<<"$long")" "" "no source file has a thousand lines"
is "$(awk 'END { print (NR < 300) }' Makefile)" 1 "the Makefile has fewer than 300 lines"
done_testing
