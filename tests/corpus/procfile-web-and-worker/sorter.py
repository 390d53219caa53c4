import time

while True:
    print("sorting", flush=True)
    time.sleep(5)
