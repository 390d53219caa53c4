import os
from multiprocessing import Lock, shared_memory

import bottle

lock = Lock()
block = shared_memory.SharedMemory(create=True, size=256 << 20)
os.posix_fallocate(os.open(f"/dev/shm/{block.name}", os.O_RDWR), 0, 256 << 20)
app = bottle.Bottle()
app.route("/", callback=lambda: str(block.size))
