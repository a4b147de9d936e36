#!/usr/bin/env bash
# A real Kubernetes of one node on this machine; README.md says how. `cluster.sh help` lists the commands.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$top/target/cluster        # all that is built, and what the running cluster stores
bin=$work/bin
run=$work/run                   # /run inside the node
logs=$work/logs
records=/run/carrel-cluster     # what runs: outlives a `make clean`, not a reboot
kubeconfig=$work/kubeconfig

for part in build process network credentials components images; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

die() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

say() { printf 'cluster: %s\n' "$*" >&2; }

kubectl() { "$bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

# Seconds are counted by the clock, not by attempts: what is waited for may itself take long.
wait_until() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 start=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $((SECONDS - start)) -lt "$limit" ] || die "gave up after $limit s: $what"
        sleep 0.1
    done
}

only_root() { [ "$(id -u)" -eq 0 ] || die "only root can run a node"; }

# Waits for the one who holds the lock, and gives up the one held before.
lock() { # FILE
    mkdir -p "${1%/*}"
    exec 9>"$1"
    flock -w 1800 9 || die "another call holds $1 for too long"
}

# One at a time on a machine: addresses, ports and the names of rules are fixed.
lock_machine() { lock /run/lock/carrel-cluster; }

build() {
    lock "$work/lock"
    install_packages
    build_all
}

is_elsewhere() { [ -n "${KUBECONFIG-}" ] && [ "$KUBECONFIG" != "$kubeconfig" ]; }

# What the running cluster was made from: when that changes, `up` starts it anew.
fingerprint() {
    { sha256sum "$here"/cluster.sh "$here"/lib/*.sh "$here"/config/*; readlink "$bin"/*; } | sha256sum
}

is_running() {
    [ "$(cat "$run/fingerprint" 2>/dev/null)" = "$(fingerprint)" ] && all_alive && egress_is_shut &&
        kubectl get --raw /readyz --request-timeout 5s >/dev/null 2>&1 && node_is_ready
}

node_is_ready() {
    [ "$(kubectl get node carrel-node \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

start_all() {
    mkdir -p "$run" "$logs" "$records"
    rm -f "$logs"/*.log
    echo "$top" >"$records/root"
    shut_egress
    make_bridge
    make_cgroups
    install_config
    make_credentials
    start_node
    local name
    for name in containerd etcd apiserver; do start "$name"; done
    wait_for containerd
    import_image localhost/carrel-pause:1 "$work/images/pause.tar"
    wait_for apiserver
    for name in kubelet controller-manager scheduler proxy; do start "$name"; done
    import_image localhost/carrel-test:1 "$work/images/test.tar"
    wait_until 120 "the node is Ready (see $logs)" node_is_ready
    wait_until 120 "services reach pods" proxy_is_ready
    # Pods cannot be created before it exists.
    wait_until 120 "the default service account" kubectl get serviceaccount default
    egress_is_shut || die "the rules that keep pod traffic here are not in place"
    fingerprint >"$run/fingerprint"
}

# One that is running belongs to whoever works in the checkout it was started from.
only_own() {
    local owner
    owner=$(cat "$records/root" 2>/dev/null || true)
    if [ "$owner" != "$top" ] && [ -d "$owner/target/cluster/run" ] && node_is_alive; then
        die "the cluster of $owner is running: end it with 'make cluster-down' there"
    fi
}

# Everything is removed by what the records and the fixed names say, so it also works for what a killed run,
# or one from another checkout, has left.
remove_all() {
    end_node
    remove_cgroups
    remove_bridge
    open_egress
    rm -rf "$run" "$kubeconfig" "$records"
}

command_up() { ## Start the cluster, or print where the running one is
    if is_elsewhere; then
        local client=$bin/kubectl
        [ -x "$client" ] || client=kubectl
        "$client" wait --for=condition=Ready nodes --all --timeout=60s >&2 ||
            die "the cluster that KUBECONFIG ($KUBECONFIG) names has no Ready nodes; unset it to start one here"
        echo "export KUBECONFIG=$KUBECONFIG"
        return
    fi
    only_root
    build
    lock_machine
    if ! is_running; then
        only_own
        remove_all
        trap "dump >&2" EXIT
        start_all
        trap - EXIT
    fi
    echo "export KUBECONFIG=$kubeconfig"
}

command_down() { ## End it and remove all but what was built and the logs
    only_root
    lock_machine
    only_own
    remove_all
}

command_build() { ## Build what is missing
    build
}

command_packages() { ## Install the Debian packages that are missing
    install_packages
}

command_start() { ## COMPONENT: start it and wait until it answers
    lock_machine
    is_component "${1-}"
    start "$1"
    wait_for "$1"
}

command_stop() { ## COMPONENT: end it with SIGTERM
    lock_machine
    is_component "${1-}"
    stop_component "$1"
}

command_restart() { ## COMPONENT: stop, then start
    command_stop "$@"
    command_start "$@"
}

command_signal() { ## COMPONENT SIGNAL: for instance `signal apiserver KILL`
    is_component "${1-}"
    signal_component "$1" "${2:?which signal?}"
}

command_pid() { ## COMPONENT: print its process id
    is_component "${1-}"
    component_pid "$1"
}

command_node() { ## COMMAND...: run it inside the node's namespaces, for instance `node ctr -n k8s.io images ls`
    in_node "$@"
}

command_archive() { ## FILE NAME:TAG FOLDER [CONFIG]: make an image of a root filesystem
    make_archive "$@"
}

command_import() { ## NAME:TAG FILE: give the node an image; - reads the standard input
    import_image "$@"
}

command_check() { ## [NAME...]: check the running cluster, by default with everything in checks/
    only_root
    all_alive || die "the cluster is not running"
    [ $# -gt 0 ] || set -- egress-model egress smoke recover
    local name
    for name in "$@"; do
        # shellcheck source=/dev/null
        (source "$here/checks/$name.sh")
        say "$name: passed"
    done
}

command_dump() { ## Print nodes, pods, events and the ends of the logs
    dump
}

command_help() { ## Print this
    sed -n 's/^command_\([a-z]*\)() { ## \(.*\)/  \1 \2/p' "$here/cluster.sh"
}

name=${1-help}
shift || true
declare -F "command_$name" >/dev/null || die "there is no command '$name' (see 'cluster.sh help')"
"command_$name" "$@"
