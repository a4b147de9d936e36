"""Runs the script that makes the first pools, with an API and a clock of its own."""

import io
import json
import pathlib
import types
import urllib.error

SCRIPT = (pathlib.Path(__file__).parents[2] / "charts/carrel/files/make_pools.py").read_text()


class Api:
    """Has pools until `removed`, and serves their kind from `served`; each request takes no time, each pause does."""

    def __init__(self, there=(), removed=1e9, served=0):
        self.there, self.removed, self.served, self.now, self.made = set(there), removed, served, 0.0, []

    def ask(self, method, path, pool):
        if self.now >= self.removed:
            self.there, self.removed = set(), 1e9
        name = pool["metadata"]["name"]
        code = 404 if self.now < self.served else 409 if name in self.there else 201
        if code != 201:
            raise urllib.error.HTTPError(path, code, "no", {}, io.BytesIO(b"no"))
        self.there.add(name)
        self.made.append(name)

    def sleep(self, seconds):
        self.now += seconds

    def run(self):
        """The pools that were made, and when it ended; the end of the script, when it gave up."""
        pools = [{"metadata": {"name": name, "namespace": "n"}} for name in ("a", "b")]
        clock = types.SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        names = {"json": json, "time": clock, "urllib": urllib, "ask": self.ask, "print": lambda _: None}
        names["sys"] = types.SimpleNamespace(argv=["-c", json.dumps(pools)])
        exec(SCRIPT, names)
        return sorted(self.made), self.now


assert Api().run() == (["a", "b"], 0), "nothing is waited for when both can be made"
assert Api(served=30).run() == (["a", "b"], 30), "the kind comes later"
assert Api(there="ab", removed=15).run() == (["a", "b"], 15), "a rollback removes them after the Job has begun"
made, ended = Api(there="a").run()
assert made == ["b"] and 20 < ended < 22, "a second try finds one, which stays"
try:
    Api(served=1e9).run()
    raise AssertionError("a kind that never comes must fail")
except SystemExit as end:
    assert "no pool" in str(end), end
