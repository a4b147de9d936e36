"""Cancels what still runs, while there is an operator to write its end. A sandbox keeps its outcome until an operator
has taken it, so a pod whose operator is gone would stay for as long as a program may run."""

import json
import os
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
host = os.environ["KUBERNETES_SERVICE_HOST"]
host = f"[{host}]" if ":" in host else host
base = f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}/apis/carrel.dev/v1alpha1/namespaces"
trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
# Clusters have authorities that lack what the strict mode of newer Pythons asks for.
trust.verify_flags &= ~ssl.VERIFY_X509_STRICT


def ask(method, path, body=None):
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Accept": "application/json"}
    if body:
        headers["Content-Type"] = "application/merge-patch+json"
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{base}/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        return json.load(answer)


def unfinished(tenant):
    # Pages, because one object may have half a megabyte.
    after = ""
    while after is not None:
        page = ask("GET", f"{tenant}/codeexecutions?limit=100&continue={after}")
        for item in page["items"]:
            if item.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                yield item["metadata"]["name"]
        after = page["metadata"].get("continue") or None


deadline = time.monotonic() + 60
asked, left = set(), []
while time.monotonic() < deadline:
    try:
        left = [(tenant, name) for tenant in sys.argv[1].split(",") for name in unfinished(tenant)]
        for tenant, name in left:
            if (tenant, name) not in asked:
                ask("PATCH", f"{tenant}/codeexecutions/{name}", {"spec": {"cancel": True}})
                asked.add((tenant, name))
    except urllib.error.URLError as error:
        print(f"the API: {error}")
        left = left or [("?", "?")]
    if not left:
        break
    time.sleep(1)
print(f"{len(asked)} executions were cancelled, {len(left)} have not ended")
