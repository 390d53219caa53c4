import time
from http.server import ThreadingHTTPServer  # noqa: F401 - once the licence is there

print("waiting for a licence", flush=True)
while True:
    time.sleep(0.5)
