# shellcheck shell=bash disable=SC2154
# `up` starts the cluster anew when a part of it was killed, and it leaves a running one alone.

before=$(component_pid apiserver)
"$here/cluster.sh" up >/dev/null
[ "$(component_pid apiserver)" = "$before" ] || die "a running cluster was started again"

first=$(node_pid)
kill -KILL "$(recorded_pid node)"
"$here/cluster.sh" up >/dev/null
is_gone "$first" || die "the old node still runs"

kubelet=$(component_pid kubelet)
kill -KILL "$kubelet"
wait_until 10 "the kubelet has ended" is_gone "$kubelet"
"$here/cluster.sh" up >/dev/null
component_pid kubelet >/dev/null || die "the kubelet was not started again"
