import sys

line = "x" * 99 + "\n"
block = line * 10000
for _ in range(100):
    sys.stdout.write(block)
print("finished", file=sys.stderr)
