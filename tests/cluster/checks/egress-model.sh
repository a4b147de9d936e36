# shellcheck shell=bash disable=SC2154
# The rules of egress.nft in a network of its own that is connected to nothing: a router with the bridge, a
# pod on it and a host outside. With the rules nothing passes; without them it does, so the check can fail.

# shellcheck disable=SC2016
unshare --net --mount --propagation private bash -euo pipefail -c '
    rules=$1 busybox=$2
    mount --no-mtab -t tmpfs none /run
    fail() { echo "egress-model: $*" >&2; exit 1; }
    attach() { # NAMESPACE LINK ADDRESS-4 ADDRESS-6 GATEWAY-4 GATEWAY-6
        ip netns add "$1"
        ip link add "$2" type veth peer name eth0 netns "$1"
        ip link set "$2" up
        ip -n "$1" link set lo up
        ip -n "$1" link set eth0 up
        ip -n "$1" address add "$3" dev eth0
        ip -n "$1" address add "$4" dev eth0 nodad
        ip -n "$1" route add default via "$5"
        ip -n "$1" route add default via "$6"
    }
    reaches() { # NAMESPACE ADDRESS
        ip netns exec "$1" "$busybox" ping -c 1 -W 1 "$2" >/dev/null 2>&1
    }
    # Nobody listens there, so an answer is a refusal.
    is_refused() { # by the port of the API server
        local said
        said=$(ip netns exec outside timeout 1 bash -c "exec 3<>/dev/tcp/198.51.100.1/16443" 2>&1) || true
        [[ $said == *refused* ]]
    }
    dropped() { nft list counter inet carrel_cluster egress_dropped | sed -n "s/.*packets \([0-9]*\).*/\1/p"; }

    nft -f "$rules"
    ip link set lo up
    ip link add carrel0 type bridge
    ip link set carrel0 up
    ip address add 10.201.0.1/20 dev carrel0
    ip address add 2001:db8:1::1/64 dev carrel0 nodad
    attach pod pod0 10.201.0.2/20 2001:db8:1::2/64 10.201.0.1 2001:db8:1::1
    attach other other0 10.201.0.3/20 2001:db8:1::3/64 10.201.0.1 2001:db8:1::1
    ip link set pod0 master carrel0
    ip link set other0 master carrel0
    attach outside outside0 198.51.100.2/24 2001:db8:2::2/64 198.51.100.1 2001:db8:2::1
    ip address add 198.51.100.1/24 dev outside0
    ip address add 2001:db8:2::1/64 dev outside0 nodad
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding

    for address in 10.201.0.1 2001:db8:1::1 10.201.0.3 2001:db8:1::3; do
        reaches pod $address || fail "a pod does not reach $address"
    done
    for address in 198.51.100.2 2001:db8:2::2; do
        before=$(dropped)
        ! reaches pod $address || fail "a pod reaches $address outside"
        [ "$(dropped)" -gt "$before" ] || fail "what was sent to $address is not counted as dropped"
    done
    for address in 10.201.0.2 2001:db8:1::2; do
        ! reaches outside $address || fail "$address is reached from outside"
    done
    ! is_refused || fail "the API server could be reached from outside"

    nft delete table inet carrel_cluster
    for address in 198.51.100.2 2001:db8:2::2; do
        reaches pod $address || fail "without the rules a pod does not reach $address, so this shows nothing"
    done
    is_refused || fail "without the rules the port of the API server is not reached, so this shows nothing"
' model "$here/config/egress.nft" "$(echo "$work"/parts/busybox-*/root/bin/busybox)"
