#!/usr/bin/env bash
# The tests that need a real cluster: parity of the in-process API, the installed chart, examples, lives, takeovers,
# growth.
#
#   tests/e2e.sh [NAME...]      by default all of them; NAME is a file of tests/tests without .rs, or parity
#   tests/e2e.sh bench          measure hello through the installed chart instead
#
# Without KUBECONFIG it starts the cluster of tests/cluster, gives it the images, and ends it afterwards
# (CARREL_E2E_KEEP=1 keeps it). With KUBECONFIG that cluster is used as it is. Then the images must be there already
# (CARREL_E2E_EXECUTOR_IMAGE, CARREL_E2E_CONTROL_IMAGE; CARREL_E2E_NEXT_TAG, if set, is one more tag of both, to upgrade
# to), this machine must reach its pods, and pods must reach it at CARREL_E2E_HOST_ADDRESS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=tests/cluster/cluster.sh
own=target/cluster/kubeconfig
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

say() { printf 'e2e: %s\n' "$*" >&2; }

finish() {
    local status=$?
    if [ -z "${theirs-}" ]; then
        if [ "$status" -ne 0 ]; then
            mkdir -p target/e2e
            "$cluster" dump >target/e2e/dump.log 2>&1 || true
            say "failed; nodes, pods, events and the ends of all logs:"
            tail -n 300 target/e2e/dump.log >&2
        fi
        [ -n "${CARREL_E2E_KEEP-}" ] || "$cluster" down || status=1
    fi
    exit "$status"
}

# Packs what `make build` has built, and gives it to the node under two tags.
give_image() { # NAME IMAGE
    local file=target/e2e/$1.tar
    images/build.sh "$1" "$file"
    "$cluster" import "$2" "$file"
    "$cluster" node ctr -n k8s.io images tag --force "$2" "$2-next" >/dev/null
    rm -f "$file"
}

start_own_cluster() {
    mkdir -p target/e2e
    "$cluster" up
    say "giving the node the images, half a minute"
    export CARREL_E2E_EXECUTOR_IMAGE=localhost/carrel-executor:$version
    export CARREL_E2E_CONTROL_IMAGE=localhost/carrel:$version
    export CARREL_E2E_NEXT_TAG=$version-next
    give_image executor "$CARREL_E2E_EXECUTOR_IMAGE"
    give_image control "$CARREL_E2E_CONTROL_IMAGE"
    export CARREL_E2E_KUBECONFIG=$PWD/$own
    CARREL_E2E_HOST_ADDRESS=$(ip -4 -o addr show carrel0 | sed -n 's/.* inet \([0-9.]*\).*/\1/p')
    export CARREL_E2E_HOST_ADDRESS
}

# An API server of two cores takes 150 writes a second, and each object costs two. The whole size is for a quiet hour:
# CARREL_E2E_FINISHED=10000 CARREL_E2E_QUEUED=1000 tests/e2e.sh growth
export CARREL_E2E_FINISHED=${CARREL_E2E_FINISHED-2000} CARREL_E2E_QUEUED=${CARREL_E2E_QUEUED-200}

tests=("$@")
[ "${#tests[@]}" -gt 0 ] || tests=(parity addon scenarios takeover growth examples)

if [ -n "${KUBECONFIG-}" ] && [ "$(realpath "$KUBECONFIG")" != "$(realpath -m "$own")" ]; then
    theirs=1
    export CARREL_E2E_KUBECONFIG=$KUBECONFIG
    : "${CARREL_E2E_EXECUTOR_IMAGE:?is to name the executor image, as the nodes know it}"
    : "${CARREL_E2E_CONTROL_IMAGE:?is to name the image of operator and front, as the nodes know it}"
    : "${CARREL_E2E_HOST_ADDRESS:?is to be an address of this machine that pods reach}"
else
    trap finish EXIT
    start_own_cluster
fi
# What a test starts is for the cluster it names, not for whatever else is configured.
unset KUBECONFIG

if [ "${tests[*]}" = bench ]; then
    # shellcheck disable=SC2086
    cargo bench ${CARGO_FLAGS-} --workspace --bench cluster
    exit
fi

# Needs no cluster, but the helm that comes with ours.
tests/chart/check.sh

selected=()
for name in "${tests[@]}"; do selected+=(--test "$name"); done

# Two at a time: they mostly wait, and a node has two cores.
# shellcheck disable=SC2086
cargo test --release --workspace ${CARGO_FLAGS-} "${selected[@]}" --no-fail-fast -- --ignored --test-threads=2
