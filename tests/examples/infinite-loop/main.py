print("started", flush=True)
with open("progress.txt", "w") as f:
    f.write("0\n")
n = 0
while True:
    n += 1
