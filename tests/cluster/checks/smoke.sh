# shellcheck shell=bash disable=SC2154
# What everything else builds on: pods run, serve, print and end; the API server can be restarted.

clean_up() { kubectl delete namespace carrel-check --ignore-not-found --wait=false >/dev/null; }

apply_pods() {
    kubectl apply -n carrel-check -f - >/dev/null <<'END'
apiVersion: v1
kind: Pod
metadata: { name: server, labels: { app: server } }
spec:
  hostUsers: false
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: localhost/carrel-test:1
    command: [sh, -c, "echo hello; echo pong >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: { httpGet: { port: 8080, path: / }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: server }
spec: { ports: [{ port: 80, targetPort: 8080 }], selector: { app: server } }
---
apiVersion: v1
kind: Pod
metadata: { name: client }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - { name: client, image: "localhost/carrel-test:1" }
---
apiVersion: v1
kind: Pod
metadata: { name: absent }
spec:
  containers:
  - { name: absent, image: "registry.invalid/absent:1" }
END
}

in_pod() { kubectl exec -n carrel-check "$@"; }

is() { # WHAT WANT HAVE
    [ "$3" = "$2" ] || die "$1: '$3' instead of '$2'"
}

pull_has_failed() {
    kubectl get events -n carrel-check --field-selector involvedObject.name=absent,reason=Failed \
        -o 'jsonpath={.items[*].message}' | grep -q 127.0.0.1:1
}

trap clean_up EXIT
clean_up
kubectl wait --for=delete namespace/carrel-check --timeout=120s >/dev/null
is "the server's version" "v$(version_of . k8s.io/kubernetes)" \
    "$(kubectl get --raw /version | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p')"
kubectl create namespace carrel-check >/dev/null
wait_until 10 "the service account" kubectl get serviceaccount -n carrel-check default
apply_pods
kubectl wait -n carrel-check --for=condition=Ready pod/server pod/client --timeout=60s >/dev/null
is logs hello "$(kubectl logs -n carrel-check server)"
is exec 65532 "$(in_pod client -- id -u)"
# shellcheck disable=SC2016
[ "$(in_pod server -- awk '{ print $2 }' /proc/self/uid_map)" -gt 0 ] || die "hostUsers: false has no effect"

address=$(kubectl get service -n carrel-check server -o 'jsonpath={.spec.clusterIP}')
wait_until 10 "a pod reaches a service" in_pod client -- timeout 3 wget -qO- "http://$address"
is "a service from a pod" pong "$(in_pod client -- timeout 3 wget -qO- "http://$address")"
is "a service from its own pod" pong "$(in_pod server -- timeout 3 wget -qO- "http://$address")"
is "a service from this machine" 0 "$(http_ok "$address" 80 / && echo 0)"
in_pod client -- timeout 3 nc 10.202.0.1 443 </dev/null || die "the API server is not reached from a pod"
wait_until 30 "an image that is not here is refused without a call" pull_has_failed

kubectl delete pod -n carrel-check --all --timeout=60s >/dev/null

# Last, as the kubelet takes its time to come back to an API server that was away more than once.
before=$(component_pid apiserver)
"$here/cluster.sh" restart apiserver
[ "$(component_pid apiserver)" != "$before" ] || die "the API server is the same process after its restart"
is "what it had stored" carrel-check "$(kubectl get namespace carrel-check -o 'jsonpath={.metadata.name}')"
