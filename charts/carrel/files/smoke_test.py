"""What `helm test` asks of an installation, through its Service."""

import http.client
import json
import os
import time

HOST, PORT, NAME = os.environ["SMOKE_HOST"], int(os.environ["SMOKE_PORT"]), os.environ["SMOKE_NAME"]
DEADLINE = time.monotonic() + float(os.environ["SMOKE_SECONDS"])

# What a sandbox must not reach: the API, this Service, a resolver.
PROBE = """
import socket, sys
reached = []
for host, port in [(sys.argv[i], int(sys.argv[i + 1])) for i in (1, 3)]:
    try:
        socket.create_connection((host, port), timeout=3).close()
        reached.append(f"{host}:{port}")
    except OSError:
        pass
try:
    socket.getaddrinfo("kubernetes.default.svc", 443)
    reached.append("DNS")
except OSError:
    pass
print(",".join(reached) or "nothing")
"""


def token():
    tokens = json.loads(os.environ.get("SMOKE_TOKENS", "{}"))
    for value in tokens.values():
        return value if isinstance(value, str) else value[0]
    return None


def request(method, path, body=None, host=NAME, bearer=True):
    connection = http.client.HTTPConnection(HOST, PORT, timeout=60)
    headers = {"Host": host, "Content-Type": "application/json"}
    if bearer and token():
        headers["Authorization"] = f"Bearer {token()}"
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


def run(code):
    while True:
        status, body = request("POST", "/v1/execute", {"code": code})
        # No sandbox is up yet.
        if status in (429, 503) and time.monotonic() < DEADLINE:
            time.sleep(1)
            continue
        if status != 200 or body["exit_code"] != 0:
            raise SystemExit(f"FAILED execution: {status} {body}")
        return body["stdout"].strip()


health = ready()
print(f"ok ready: Carrel {health['version']} on {health['executor_backend']}")

answer = run("print(6 * 7)")
if answer != "42":
    raise SystemExit(f"FAILED execution: {answer!r} is not 42")
print("ok execution: 6 * 7 is 42 in a sandbox")

refusals = []
if token():
    refusals.append(("a request without a token", 401, {"bearer": False}))
if os.environ["SMOKE_GUARD"] == "true":
    refusals.append(("a request for another host", 403, {"host": "other.example"}))
for what, wanted, changed in refusals:
    status, body = request("POST", "/v1/execute", {"code": "print(1)"}, **changed)
    if status != wanted:
        raise SystemExit(f"FAILED guard: {what} was answered {status} {body}, not {wanted}")
    print(f"ok guard: {what} is refused ({status})")
if not refusals:
    print("NOT CHECKED guard: neither authentication nor the names of the Service keep anybody out")

api = (os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"])
argv = f"import sys\nsys.argv = ['probe', {api[0]!r}, {api[1]!r}, {HOST!r}, '{PORT}']\n"
reached = run(argv + PROBE)
if reached == "nothing":
    print("ok network: NetworkPolicies are enforced, a sandbox reaches nothing")
else:
    print(f"NOT ENFORCED network: NetworkPolicies have no effect here, a sandbox reaches {reached}")
    if os.environ["SMOKE_REQUIRE_NETWORK_POLICY"] == "true":
        raise SystemExit("FAILED network: tests.requireNetworkPolicy is set")
