"""Asks the API server about Carrel's kinds, as the pod's account. Stands in front of the scripts of the Jobs."""

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
base = f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}/apis/carrel.dev/v1alpha1"
trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
# Clusters have authorities that lack what the strict mode of newer Pythons asks for.
trust.verify_flags &= ~ssl.VERIFY_X509_STRICT


def ask(method, path="", body=None):
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Accept": "application/json"}
    if body:
        headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{base}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        return json.load(answer)
