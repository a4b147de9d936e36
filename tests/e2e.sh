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
# kubectl of the pinned version, as `make` has it too.
export PATH=$PWD/target/tools:$PATH
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

say() { printf 'e2e: %s\n' "$*" >&2; }

finish() {
    local status=$?
    if [ -n "${second-}" ]; then
        kill -- "-$second" 2>/dev/null || true
        wait "$second" || true
        tail -n 100 target/e2e/second.log >&2
    fi
    if [ -z "${theirs-}" ]; then
        if [ "$status" -ne 0 ]; then
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
    images/build.sh "$1" - | "$cluster" import "$2" -
    "$cluster" node ctr -n k8s.io images tag --force "$2" "$2-next" >/dev/null
}

start_own_cluster() {
    "$cluster" up
    export CARREL_E2E_EXECUTOR_IMAGE=localhost/carrel-executor:$version
    export CARREL_E2E_CONTROL_IMAGE=localhost/carrel:$version
    export CARREL_E2E_NEXT_TAG=$version-next
    say "giving the node the images, a minute"
    give_image executor "$CARREL_E2E_EXECUTOR_IMAGE"
    give_image control "$CARREL_E2E_CONTROL_IMAGE"
    export CARREL_E2E_KUBECONFIG=$PWD/$own
    CARREL_E2E_HOST_ADDRESS=$(ip -4 -o addr show carrel0 | sed -n 's/.* inet \([0-9.]*\).*/\1/p')
    export CARREL_E2E_HOST_ADDRESS
}

# An API server of two cores takes 150 writes a second, and each object costs two. The whole size is for a quiet hour:
# CARREL_E2E_FINISHED=10000 CARREL_E2E_QUEUED=1000 tests/e2e.sh growth
export CARREL_E2E_FINISHED=${CARREL_E2E_FINISHED-2000} CARREL_E2E_QUEUED=${CARREL_E2E_QUEUED-200}

mkdir -p target/e2e
trap finish EXIT
if [ -n "${KUBECONFIG-}" ] && [ "$(realpath "$KUBECONFIG")" != "$(realpath -m "$own")" ]; then
    theirs=1
    export CARREL_E2E_KUBECONFIG=$KUBECONFIG
    : "${CARREL_E2E_EXECUTOR_IMAGE:?is to name the executor image, as the nodes know it}"
    : "${CARREL_E2E_CONTROL_IMAGE:?is to name the image of operator and front, as the nodes know it}"
    : "${CARREL_E2E_HOST_ADDRESS:?is to be an address of this machine that pods reach}"
else
    start_own_cluster
fi
# What a test starts is for the cluster it names, not for whatever else is configured.
unset KUBECONFIG

# The tests of one file, so many at a time: what mostly waits takes more than a node with two cores has.
run() { # THREADS NAME [ARG...]
    local threads=$1 name=$2
    shift 2
    # shellcheck disable=SC2086
    cargo test --release --workspace ${CARGO_FLAGS-} --test "$name" -- --ignored --test-threads="$threads" "$@"
}

run_by_name() { # NAME
    case $1 in
        takeover) run 7 "$1" ;;
        *) run 4 "$1" ;;
    esac
}

# Those that mostly wait run beside those of the chart, and the examples as soon as there is room; what they say comes
# afterwards. Growth needs all of the machine.
run_all() {
    local failed=0 name
    # Nothing is to be built while tests run.
    # shellcheck disable=SC2086
    cargo test --release --workspace ${CARGO_FLAGS-} --no-run
    # They take the node and the API server away from everybody. They also are the first on a cluster without the kinds.
    run 2 addon node:: || failed=1
    # From now on the kinds stay, because both rows need them.
    kubectl --kubeconfig "$CARREL_E2E_KUBECONFIG" apply --server-side --force-conflicts -f crds/golden
    # With a group of processes of its own, so that all of it can be ended.
    set -m
    (
        failed=0
        for name in takeover scenarios parity examples; do run_by_name "$name" || failed=1; done
        exit "$failed"
    ) >target/e2e/second.log 2>&1 &
    second=$!
    set +m
    run 4 addon --skip node:: || failed=1
    say "waiting for the other row, which writes to target/e2e/second.log"
    wait "$second" || failed=1
    second=
    cat target/e2e/second.log
    run_by_name growth || failed=1
    return "$failed"
}

if [ "$*" = bench ]; then
    # shellcheck disable=SC2086
    cargo bench ${CARGO_FLAGS-} --workspace --bench cluster
    exit
fi

# Needs no cluster, but the helm that comes with ours.
tests/chart/check.sh

if [ $# -eq 0 ]; then
    run_all
else
    failed=0
    for name in "$@"; do run_by_name "$name" || failed=1; done
    exit "$failed"
fi
