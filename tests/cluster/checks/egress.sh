# shellcheck shell=bash disable=SC2154
# A pod of the running cluster calls an address outside. That address is in a network namespace of this
# check, the only way to it is a link of this check, and a rule of this check would stop it on any other.

remove_outside() {
    kubectl delete namespace carrel-check --ignore-not-found --wait=false >/dev/null
    nft delete table inet carrel_check 2>/dev/null || true
    ip link delete carrel-outside 2>/dev/null || true
    [ -z "${outside-}" ] || kill "$outside"
}

add_outside() {
    nft -f - <<END
table inet carrel_check {
	chain postrouting {
		type filter hook postrouting priority 300; policy accept;
		ip daddr 198.51.100.0/24 oifname != "carrel-outside" drop
	}
}
END
    unshare --net sleep 600 &
    outside=$!
    wait_until 5 "a network namespace" outside_is_apart
    ip link add carrel-outside type veth peer name eth0 netns "$outside"
    ip address add 198.51.100.1/24 dev carrel-outside
    ip link set carrel-outside up
    nsenter --target "$outside" --net bash -eu -c '
        ip address add 198.51.100.2/24 dev eth0
        ip link set eth0 up
        ip route add default via 198.51.100.1
        nft "add table inet t; add counter inet t pods; add chain inet t c { type filter hook input priority 0; };
            add rule inet t c ip saddr 10.201.0.0/20 counter name pods"'
}

outside_is_apart() { [ "$(readlink "/proc/$outside/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

packets() { sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

dropped() { nft list counter inet carrel_cluster egress_dropped | packets; }

egress_is_shut || die "the rules are not in place, so nothing is tried"
trap remove_outside EXIT
remove_outside
add_outside
kubectl wait --for=delete namespace/carrel-check --timeout=120s >/dev/null
kubectl create namespace carrel-check >/dev/null
kubectl run -n carrel-check caller --image localhost/carrel-test:1 >/dev/null
kubectl wait -n carrel-check --for=condition=Ready pod/caller --timeout=60s >/dev/null

before=$(dropped)
kubectl exec -n carrel-check caller -- timeout 3 nc 198.51.100.2 80 </dev/null >/dev/null 2>&1 &&
    die "a pod reached an address outside"
[ "$(dropped)" -gt "$before" ] || die "what the pod sent is not counted as dropped"
seen=$(nsenter --target "$outside" --net nft list counter inet t pods | packets)
[ "$seen" -eq 0 ] || die "$seen packets of the pod were seen outside"

# The way there exists: this machine itself is answered (refused, as nobody listens).
said=$(LC_ALL=C bash -c 'exec 3<>/dev/tcp/198.51.100.2/80' 2>&1) || true
[[ $said == *refused* ]] || die "the address outside does not answer, so this shows nothing: $said"
