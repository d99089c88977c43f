#!/usr/bin/env bash
# What the command says of itself, and to those who mistype.
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cli/support/expected.sh

new_home
prints help engram --help
prints nothing engram
for verb in doctor check plan up down groups drain lineage learn submit queue watch cancel retry pause resume forget log show sample evaluate export admin fsck gc backup restore; do prints "help-$verb" engram "$verb" --help; done
prints help-settings engram learn --help-settings
is "$(engram --version)" "engram $(sed -n 's/^VERSION ?= //p' Makefile)" "--version says the Makefile's version"
prints typo-verb engram lern
prints typo-option engram learn --linage pets
prints no-value engram learn --lineage
prints no-number engram sample --lineage pets --n two "a dog"
prints too-many engram sample --lineage pets --n 65 "a dog"
prints no-lineage engram learn "$photos/rex"
prints no-job engram watch twelve
prints extra-word engram queue pets
prints export-where engram export --lineage pets
prints export-form engram export --lineage pets --out x --to difusers
prints export-token engram export --lineage pets --out x --to single-file,delta --token '<rex>'
prints export-type engram export --lineage pets --out x --dtype half
prints export-there engram export --lineage pets --out "$home"
is "$(engram --help | awk 'length > 132' | wc -l)" 0 "its lines fit a wide terminal"
done_testing
