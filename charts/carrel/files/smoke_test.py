"""What `helm test` asks of an installation, through its Service."""

import http.client
import json
import os
import pathlib
import time

HOST, PORT, NAME = os.environ["SMOKE_HOST"], int(os.environ["SMOKE_PORT"]), os.environ["SMOKE_NAME"]
DEADLINE = time.monotonic() + float(os.environ["SMOKE_SECONDS"])

# Works, and tells what it reaches that it must not: the API, this Service, a resolver. Where packets are dropped none of
# them answers, so they are asked at once and not waited for.
PROGRAM = """
import json, socket, threading, time

reached = []

def attempt(name, reach):
    try:
        reach()
        reached.append(name)
    except OSError:
        pass

probes = [(f"{host}:{port}", lambda to=(host, port): socket.create_connection(to, timeout=5)) for host, port in TARGETS]
probes.append(("DNS", lambda: socket.getaddrinfo("kubernetes.default.svc", 443)))
threads = [threading.Thread(target=attempt, args=probe, daemon=True) for probe in probes]
for thread in threads:
    thread.start()
deadline = time.monotonic() + 5
for thread in threads:
    thread.join(max(0, deadline - time.monotonic()))
print(json.dumps([6 * 7, sorted(reached)]))
"""


def credentials():
    """Who runs a program each: what to call it, and its token."""
    if path := os.environ.get("SMOKE_TOKEN"):
        return [("the account of the test", pathlib.Path(path).read_text())]
    if path := os.environ.get("SMOKE_TOKENS"):
        tokens = json.loads(pathlib.Path(path).read_text())
        # Of a Secret that somebody else has made, the first: what the others are for is not known.
        names = os.environ.get("SMOKE_IDENTITIES", "").split(",")
        names = [name for name in names if name] or list(tokens)[:1]
        return [(name, tokens[name] if isinstance(tokens[name], str) else tokens[name][0]) for name in names]
    return [("everybody", None)]


def request(method, path, body=None, token=None, host=NAME):
    connection = http.client.HTTPConnection(HOST, PORT, timeout=60)
    headers = {"Host": host, "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def ready():
    while True:
        try:
            status, body = request("GET", "/ready")
        except OSError as error:
            status, body = 0, str(error)
        if status == 200:
            return body
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"FAILED ready: {status} {body}")
        time.sleep(1)


def run(who, token):
    api = (os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
    code = f"TARGETS = {[api, (HOST, PORT)]!r}\n{PROGRAM}"
    while True:
        status, body = request("POST", "/v1/execute", {"code": code, "timeout_ms": 30_000}, token)
        # No sandbox is up yet.
        if status in (429, 503) and time.monotonic() < DEADLINE:
            time.sleep(1)
            continue
        if status != 200 or body["exit_code"] != 0:
            raise SystemExit(f"FAILED execution of {who}: {status} {body}")
        answer, reached = json.loads(body["stdout"])
        if answer != 42:
            raise SystemExit(f"FAILED execution of {who}: 6 * 7 is {answer}")
        print(f"ok execution of {who}: 6 * 7 is 42 in a sandbox")
        return reached


health = ready()
print(f"ok ready: Carrel {health['version']} on {health['executor_backend']}")

reached = {who: run(who, token) for who, token in credentials()}

refusals = []
if any(token for _, token in credentials()):
    refusals.append(("a request without a token", 401, {}))
    refusals.append(("a request with a wrong token", 401, {"token": "wrong"}))
if os.environ["SMOKE_GUARD"] == "true":
    refusals.append(("a request for another host", 403, {"host": "other.example"}))
for what, wanted, changed in refusals:
    status, body = request("POST", "/v1/execute", {"code": "print(1)"}, **changed)
    if status != wanted:
        raise SystemExit(f"FAILED guard: {what} was answered {status} {body}, not {wanted}")
    print(f"ok guard: {what} is refused ({status})")
if not refusals:
    print("NOT CHECKED guard: neither authentication nor the names of the Service keep anybody out")

enforced = True
for who, places in reached.items():
    if places:
        enforced = False
        print(f"NOT ENFORCED network: a sandbox of {who} reaches {', '.join(places)}; NetworkPolicies have no effect")
if enforced:
    print("ENFORCED network: NetworkPolicies have an effect, a sandbox reaches nothing")
elif os.environ["SMOKE_REQUIRE_NETWORK_POLICY"] == "true":
    raise SystemExit("FAILED network: tests.requireNetworkPolicy is set")
