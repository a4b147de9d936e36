# Returns when the API serves the pools, whose definition is as new as this release.
problem = "it was not asked"
for _ in range(100):
    try:
        if any(kind["name"] == "sandboxpools" for kind in ask("GET")["resources"]):
            raise SystemExit(0)
        problem = "no sandboxpools"
    except urllib.error.URLError as error:
        problem = error
    time.sleep(0.5)
raise SystemExit(f"the API does not serve carrel.dev/v1alpha1: {problem}")
