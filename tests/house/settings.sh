#!/usr/bin/env bash
# docs/settings.md names every setting of settings.def once, with its default, and no other.
. tests/tap.sh

# "group.name default" per line; a table row begins with | `key` | `default` |
defined=$(sed -nE 's/^SETTING_[A-Z]+ *\( *([a-z]+), *([a-z0-9_]+), *("[^"]*"|[^,]+),.*/\1.\2 \3/p' pipeline/method/settings.def | sort)
# shellcheck disable=SC2016 # the backticks are Markdown's
explained=$(sed -nE 's/^\| `([a-z]+\.[a-z0-9_]+)` \| `([^`]*)` \|.*/\1 \2/p' docs/settings.md | sort)

ok "settings.def was understood" test "$(wc -l <<<"$defined")" -eq "$(grep -c '^SETTING_' pipeline/method/settings.def)"
is "$(diff <(echo "$defined") <(echo "$explained"))" "" "docs/settings.md has every setting with its default"
done_testing
