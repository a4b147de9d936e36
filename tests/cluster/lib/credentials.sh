# shellcheck shell=bash disable=SC2154
# Keys, certificates and tokens of one life of the cluster.

# A line for each kubeconfig: its name, the user, the user's group if there is one.
users="admin admin system:masters
controller-manager system:kube-controller-manager
scheduler system:kube-scheduler
kubelet system:node:carrel-node system:nodes
proxy system:kube-proxy"

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

signed() { # NAME SUBJECT EXTENSIONS
    new_key "$run/pki/$1.key"
    openssl req -new -key "$run/pki/$1.key" -subj "$2" |
        openssl x509 -req -days 365 -CA "$run/pki/ca.crt" -CAkey "$run/pki/ca.key" -CAcreateserial \
            -extfile <(printf '%s\n' "$3") -out "$run/pki/$1.crt" 2>/dev/null
}

write_kubeconfig() { # FILE TOKEN
    cat >"$1" <<END
apiVersion: v1
kind: Config
current-context: carrel
contexts: [{ name: carrel, context: { cluster: carrel, user: carrel } }]
clusters:
- name: carrel
  cluster:
    server: https://127.0.0.1:16443
    certificate-authority-data: $(base64 -w0 "$run/pki/ca.crt")
users: [{ name: carrel, user: { token: $2 } }]
END
}

make_credentials() (
    umask 077
    mkdir -p "$run/pki" "$run/kubeconfig"
    new_key "$run/pki/ca.key"
    openssl req -x509 -new -key "$run/pki/ca.key" -subj /CN=carrel-cluster -days 365 -out "$run/pki/ca.crt"
    signed apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:10.201.0.1,IP:10.202.0.1,DNS:localhost,\
DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    signed apiserver-to-kubelet /O=system:masters/CN=kube-apiserver extendedKeyUsage=clientAuth
    openssl genrsa -out "$run/pki/service-accounts.key" 2048 2>/dev/null
    local name user group token
    while read -r name user group; do
        token=$(openssl rand -hex 24)
        printf '%s,%s,%s%s\n' "$token" "$user" "$user" "${group:+,$group}" >>"$run/pki/tokens.csv"
        write_kubeconfig "$run/kubeconfig/$name" "$token"
    done <<<"$users"
    cp "$run/kubeconfig/admin" "$kubeconfig"
)
