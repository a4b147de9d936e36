#!/usr/bin/env bash
# Checks the Helm chart without a cluster: its copies of the definitions, lint, what each file of values/ renders to
# (goldens/), that what is listed in `refused` is refused, and the script that makes the first pools.
#
#   tests/chart/check.sh            fails on any difference
#   tests/chart/check.sh --write    writes the copies and the goldens anew
#
# HELM names the program; by default the one that the cluster harness has built, else helm of PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

chart=charts/carrel
own=target/cluster/bin/helm
helm=${HELM:-$([ -x "$own" ] && echo "$own" || echo helm)}
kube=1.35.4
failed=0

say() { printf 'chart: %s\n' "$*" >&2; }
fail() { say "$*"; failed=1; }

render() { # VALUES [FLAG...]
    local values=$1
    shift
    "$helm" template carrel "$chart" --namespace carrel-system --kube-version "$kube" --values "$values" "$@"
}

compare() { # GOLDEN
    if [ "${write-}" ]; then
        cat >"$1"
    else
        diff -u "$1" - || fail "$1 is not what the chart renders; see the difference, then run $0 --write"
    fi
}

goldens() {
    local values name
    for values in tests/chart/values/*.yaml; do
        name=$(basename "$values" .yaml)
        "$helm" lint "$chart" --strict --quiet --namespace carrel-system --kube-version "$kube" --values "$values" || fail "lint: $values"
        # The definitions are compared as files, and would be most of each golden.
        render "$values" | without_definitions | compare "tests/chart/goldens/$name.yaml"
        notes "$values" | compare "tests/chart/goldens/$name.txt"
    done
    notes tests/chart/values/default.yaml --is-upgrade | compare tests/chart/goldens/upgrade.txt
    # A cluster that knows the kinds already: the pool is then a part of the release.
    render tests/chart/values/default.yaml --api-versions carrel.dev/v1alpha1/SandboxPool --show-only templates/tenants/pool.yaml |
        compare tests/chart/goldens/pool-of-known-kind.yaml
}

# What an installation says at its end. Helm prints that only with a cluster, so here it is rendered as a piece of YAML.
notes() { # VALUES [FLAG...]
    local values=$1
    shift
    rm -rf "${scratch:?}/chart"
    cp -r "$chart" "$scratch/chart"
    mv "$scratch/chart/templates/NOTES.txt" "$scratch/chart/files/"
    printf 'notes: |\n{{ tpl (.Files.Get "files/NOTES.txt") . | indent 2 }}\n' >"$scratch/chart/templates/notes.yaml"
    "$helm" template carrel "$scratch/chart" --namespace carrel-system --kube-version "$kube" --values "$values" \
        "$@" --show-only templates/notes.yaml | sed -e '1,/^notes:/d' -e 's/^  //'
}

without_definitions() {
    awk 'BEGIN { RS = "---\n"; ORS = "---\n" } NR > 1 && !/kind: CustomResourceDefinition/'
}

definitions() {
    if [ "${write-}" ]; then
        cp crds/golden/*.yaml "$chart/files/crds/"
    fi
    diff -r crds/golden "$chart/files/crds" || fail "$chart/files/crds is not crds/golden; run $0 --write"
    # Each must come out whole, kept, and labelled.
    local rendered kept
    rendered=$(render tests/chart/values/default.yaml --show-only templates/crds.yaml)
    kept=$(grep -c 'helm.sh/resource-policy: keep' <<<"$rendered" || true)
    [ "$kept" -eq "$(find crds/golden -name '*.yaml' | wc -l)" ] || fail "only $kept definitions are kept"
}

# docs/OPERATIONS.md names each right and its reason.
rights() {
    local values
    for values in tests/chart/values/*.yaml; do render "$values"; done |
        python3 tests/chart/rights.py docs/OPERATIONS.md || fail "the rights are not those of docs/OPERATIONS.md"
}

refused() {
    local values reason answer
    while IFS='|' read -r values reason; do
        case $values in '#'* | '') continue ;; esac
        if answer=$(render tests/chart/values/default.yaml --set "$values" 2>&1 >/dev/null); then
            fail "$values is not refused"
        elif [[ $answer != *"$reason"* ]]; then
            fail "$values is refused without '$reason': $answer"
        fi
    done <tests/chart/refused
}

version() {
    local crate
    crate=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
    grep -qx "version: $crate" "$chart/Chart.yaml" && grep -qx "appVersion: $crate" "$chart/Chart.yaml" ||
        fail "Chart.yaml has not the version of Cargo.toml, $crate"
}

case ${1-} in
    '') write='' ;;
    --write) write=1 ;;
    *) say "usage: $0 [--write]"; exit 2 ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
definitions
version
goldens
rights
refused
python3 tests/chart/pools.py || fail "the Job of the first pools does not do what it shall"
[ "$failed" -eq 0 ] && say passed
exit "$failed"
