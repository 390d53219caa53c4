import time

import schedule


def sweep() -> None:
    print("swept", flush=True)


schedule.every(5).seconds.do(sweep)

if __name__ == "__main__":
    sweep()
    while True:
        schedule.run_pending()
        time.sleep(1)
