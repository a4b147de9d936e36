# shellcheck shell=bash disable=SC2154
# The bridge pods are on, the rules that keep their traffic on this machine, and the node's cgroups.

# What the kubelet sets on the machine and `down` sets back.
kernel_settings="kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes
vm/overcommit_memory vm/panic_on_oom"

shut_egress() { nft -f "$here/config/egress.nft"; }

open_egress() {
    local table
    for table in "inet carrel_cluster" "inet carrel_muted" "ip kube-proxy" "ip6 kube-proxy"; do
        # shellcheck disable=SC2086
        nft delete table $table 2>/dev/null || true
    done
}

# The kernel's own account of the rules, against what it says about the same file in an empty network.
egress_is_shut() {
    local have want
    have=$(nft -s list table inet carrel_cluster 2>/dev/null) || return 1
    # shellcheck disable=SC2016
    want=$(unshare --net bash -c 'nft -f "$1" && nft -s list table inet carrel_cluster' - "$here/config/egress.nft")
    [ "$(without_counts <<<"$have")" = "$(without_counts <<<"$want")" ]
}

without_counts() { sed '/^[[:space:]]*packets [0-9]* bytes [0-9]*$/d'; }

make_bridge() {
    local setting
    for setting in $kernel_settings; do
        printf '%s %s\n' "$setting" "$(cat "/proc/sys/$setting")"
    done >"$records/kernel-settings"
    # With an address of its own, as otherwise it takes that of one pod and changes with the next.
    ip link add carrel0 address 02:00:0a:c9:00:01 type bridge
    ip address add 10.201.0.1/20 dev carrel0
    # Only what comes from pods is forwarded, and the rules let that go to pods only.
    echo 1 >/proc/sys/net/ipv4/conf/carrel0/forwarding
    ip link set carrel0 up
    # What the proxy does not know as a service must not be looked for outside.
    ip route add 10.202.0.0/20 dev carrel0
    # Answers between two pods pass the rules that have rewritten the question.
    if [ -e /sys/class/net/carrel0/bridge/nf_call_iptables ]; then
        echo 1 >/sys/class/net/carrel0/bridge/nf_call_iptables
    fi
}

remove_bridge() {
    if [ -e "$records/kernel-settings" ]; then
        local setting value
        while read -r setting value; do
            [ "$(cat "/proc/sys/$setting")" = "$value" ] || echo "$value" >"/proc/sys/$setting"
        done <"$records/kernel-settings"
    fi
    ip link delete carrel0 2>/dev/null || true
}

# Each mounted hierarchy of version 1, or the one of version 2.
cgroup_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

make_cgroups() {
    local mounted
    for mounted in $(cgroup_mounts); do
        mkdir -p "$mounted/carrel-cluster"
    done
}

remove_cgroups() {
    local mounted
    for mounted in $(cgroup_mounts); do
        [ -d "$mounted/carrel-cluster" ] || continue
        wait_until 20 "the cgroups below $mounted are empty" remove_cgroup "$mounted/carrel-cluster"
    done
}

remove_cgroup() {
    find "$1" -depth -type d -exec rmdir {} + || true
    [ ! -d "$1" ]
}
