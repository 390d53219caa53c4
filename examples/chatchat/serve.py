"""Run the API and the page until one of them ends, so that the engine starts both again: `chatchat start -a` runs on with the other.

With an argument, `api` or `page`, run that alone. Each imports what it needs in its own process: this one, which waits, needs nothing of it.
"""

import signal
import sys
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event

GRACE_S = 5


def api(started: Event) -> None:
    from chatchat.server.knowledge_base.migrate import create_tables
    from chatchat.startup import run_api_server

    create_tables()
    run_api_server(started)


def page(started: Event) -> None:
    from chatchat.startup import run_webui

    run_webui(started)


SERVERS = {"api": api, "page": page}


def main() -> None:
    context = get_context("spawn")
    started = context.Event()
    servers = [context.Process(target=SERVERS[name], args=(started,)) for name in sys.argv[1:] or SERVERS]
    for server in servers:
        server.start()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        wait([server.sentinel for server in servers])
        sys.exit("one of the servers has ended")
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.join(GRACE_S)
            server.kill()


if __name__ == "__main__":
    main()
