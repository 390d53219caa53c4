import asyncio, signal
async def main():
    print("bot started", flush=True)
    while True:
        await asyncio.sleep(1)
def run():
    asyncio.run(main())
