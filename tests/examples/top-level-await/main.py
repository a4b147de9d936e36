import asyncio


async def answer():
    await asyncio.sleep(0.01)
    return "forty-two"


await answer()
