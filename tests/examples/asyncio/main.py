import asyncio


async def fetch(name, delay):
    await asyncio.sleep(delay)
    return f"{name} done"


async def main():
    for line in await asyncio.gather(fetch("a", 0.05), fetch("b", 0.01)):
        print(line)


asyncio.run(main())
