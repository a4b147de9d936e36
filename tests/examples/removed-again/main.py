import os
import tempfile

open("scratch.bin", "wb").write(b"\0" * 1000)
os.remove("scratch.bin")
with tempfile.NamedTemporaryFile() as f:
    f.write(b"elsewhere")
print("clean")
