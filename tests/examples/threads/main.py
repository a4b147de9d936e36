import threading
from concurrent.futures import ThreadPoolExecutor

lock = threading.Lock()
total = 0


def work(n):
    global total
    with lock:
        total += n
    return n * n


with ThreadPoolExecutor(max_workers=8) as pool:
    print(list(pool.map(work, range(10))))
print(total)
threading.Thread(target=print, args=("last thread",)).start()
