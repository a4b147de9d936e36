import pathlib

base = pathlib.Path("outputs")
(base / "2024" / "q1").mkdir(parents=True)
(base / "empty").mkdir()
(base / "2024" / "q1" / "result.txt").write_text("42\n")
(base / "index.json").write_text("{}\n")
print(sorted(str(p) for p in base.rglob("*")))
