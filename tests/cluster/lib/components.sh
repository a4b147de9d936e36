# shellcheck shell=bash disable=SC2154
# How each component is started, and how one knows that it serves. Paths are those inside the node.

components="etcd containerd apiserver controller-manager scheduler kubelet proxy"

is_component() {
    case " $components " in
    *" ${1:-none} "*) ;;
    *) die "name one of: $components" ;;
    esac
}

install_config() {
    mkdir -p "$run/config/cni" "$run/config/registries/_default"
    cp "$here"/config/{containerd.toml,kubelet.yaml,kube-proxy.yaml} "$run/config/"
    cp "$here/config/cni.conflist" "$run/config/cni/10-carrel.conflist"
    cp "$here/config/registries.toml" "$run/config/registries/_default/hosts.toml"
    cp "$bin/pause" "$run/pause"
}

run_etcd() {
    echo etcd --name carrel --data-dir /run/etcd --log-level warn \
        --listen-client-urls http://127.0.0.1:16444 --advertise-client-urls http://127.0.0.1:16444 \
        --listen-peer-urls http://127.0.0.1:16445 --initial-advertise-peer-urls http://127.0.0.1:16445 \
        --initial-cluster carrel=http://127.0.0.1:16445
}

run_containerd() { echo containerd --config /run/config/containerd.toml; }

# It listens on all addresses because pods and this machine use different ones; a rule refuses the others.
run_apiserver() {
    echo kube-apiserver --etcd-servers http://127.0.0.1:16444 \
        --bind-address 0.0.0.0 --secure-port 16443 --advertise-address 10.201.0.1 \
        --tls-cert-file /run/pki/apiserver.crt --tls-private-key-file /run/pki/apiserver.key \
        --client-ca-file /run/pki/ca.crt --token-auth-file /run/pki/tokens.csv \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file /run/pki/service-accounts.key \
        --service-account-signing-key-file /run/pki/service-accounts.key \
        --service-cluster-ip-range 10.202.0.0/20 --allow-privileged \
        --shutdown-watch-termination-grace-period 2s \
        --kubelet-client-certificate /run/pki/apiserver-to-kubelet.crt \
        --kubelet-client-key /run/pki/apiserver-to-kubelet.key --kubelet-preferred-address-types InternalIP
}

# There is one of each, so a restarted one must not wait for the lease of its predecessor.
run_controller-manager() {
    echo kube-controller-manager --kubeconfig /run/kubeconfig/controller-manager --leader-elect=false \
        --bind-address 127.0.0.1 --secure-port 16446 --use-service-account-credentials \
        --root-ca-file /run/pki/ca.crt --service-account-private-key-file /run/pki/service-accounts.key \
        --flex-volume-plugin-dir /run/kubelet-plugins \
        --cluster-cidr 10.201.0.0/20 --kube-api-qps 200 --kube-api-burst 300
}

run_scheduler() {
    echo kube-scheduler --kubeconfig /run/kubeconfig/scheduler --leader-elect=false \
        --bind-address 127.0.0.1 --secure-port 16447
}

run_kubelet() {
    echo kubelet --config /run/config/kubelet.yaml --kubeconfig /run/kubeconfig/kubelet \
        --hostname-override carrel-node --node-ip 10.201.0.1
}

run_proxy() { echo kube-proxy --config /run/config/kube-proxy.yaml; }

start() { # NAME
    local pid command
    if component_pid "$1" >/dev/null; then
        return
    fi
    pid=$(node_pid) || die "the node is not running"
    read -ra command <<<"$("run_$1")"
    PATH="$bin:$PATH" launch "$1" "$logs/$1.log" nsenter --target "$pid" --mount --pid -- "${command[@]}"
}

all_alive() {
    local name
    for name in node $components; do
        component_pid "$name" >/dev/null || return 1
    done
}

proxy_is_ready() { http_ok 127.0.0.1 16450 /livez; }

# A plain HTTP question without a program for it.
http_ok() { # ADDRESS PORT PATH
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'GET %s HTTP/1.0\r\n\r\n' "$3" >&3
        read -r -t 5 _ status _ <&3
        [ "$status" = 200 ]
    ) 2>/dev/null
}

serves() { # NAME
    component_pid "$1" >/dev/null || return 1
    case $1 in
    etcd) http_ok 127.0.0.1 16444 /health ;;
    containerd) in_node ctr version ;;
    apiserver) kubectl get --raw /readyz ;;
    controller-manager) tls_ok 16446 ;;
    scheduler) tls_ok 16447 ;;
    kubelet) http_ok 127.0.0.1 16449 /healthz ;;
    proxy) proxy_is_ready ;;
    esac
}

tls_ok() { # PORT
    printf 'GET /healthz HTTP/1.0\r\n\r\n' |
        openssl s_client -quiet -no_ign_eof -connect "127.0.0.1:$1" 2>/dev/null | grep -q '^HTTP/1.. 200'
}

wait_for() { wait_until 120 "$1 serves (see $logs/$1.log)" serves "$1"; }

dump() {
    local file
    {
        if kubectl get --raw /readyz >/dev/null; then
            kubectl get nodes,pods -A -o wide
            kubectl get events -A --sort-by .lastTimestamp
            kubectl describe nodes
        fi
        for file in "$logs"/*.log; do
            printf '\n== %s\n' "$file"
            tail -n 40 "$file"
        done
    } 2>&1 || true
}
