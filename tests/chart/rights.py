"""Compares the rights that the chart gives with the table in docs/OPERATIONS.md: each verb must be there, with a reason.

    rights.py DOCS < manifests of all value files, with Helm's "# Source:" lines
"""

import itertools
import re
import sys

ACCOUNTS = {"rbac/operator": "operator", "rbac/shim": "front", "tenants/pool": "pools",
            "uninstall": "uninstall", "tests/smoke": "test"}
# The front's are in the operator's file: one role for both.
REVIEWS = {("tokenreviews", "create"), ("subjectaccessreviews", "create")}


def words(text):
    return [word.strip() for word in text.split(",")]


def given(manifests):
    account = None
    for line in manifests:
        if source := re.match(r"# Source: carrel/templates/(.*)\.yaml", line):
            account = ACCOUNTS.get(source[1])
        elif rule := re.match(r"- \{apiGroups: .* resources: \[([^]]*)\],.* verbs: \[([^]]*)\]\}", line):
            if account:
                for resource, verb in itertools.product(words(rule[1]), words(rule[2])):
                    yield account, resource, verb


def told(page):
    table = re.search(r"### Rights\n.*?\n((?:\|[^\n]*\n)+)", page, re.S)[1].splitlines()[2:]
    row = [""] * 6
    for line in table:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        # An empty cell says the same as the one above it.
        row = [cell or above for cell, above in zip(cells, row)]
        if not row[5]:
            raise SystemExit(f"rights: no reason in {line}")
        for resource in words(row[3]):
            for verb in words(row[4]):
                yield row[0], resource.split()[0], verb


chart = set(given(sys.stdin))
page = set(told(open(sys.argv[1], encoding="utf-8").read()))
page -= {("front", *review) for review in REVIEWS}
if not chart:
    raise SystemExit("rights: the chart gives none, so this looked in the wrong place")
for what, rights in [("not in the table", chart - page), ("in the table, but not given", page - chart)]:
    for right in sorted(rights):
        print(f"rights: {what}: {' '.join(right)}", file=sys.stderr)
sys.exit(chart != page)
