import threading
import time


def collect():
    readings = {}
    while True:
        time.sleep(0.5)
        print(readings["oven"])


threading.Thread(target=collect).start()
threading.Event().wait()
