"""The observer in namespaces of its own: what it sees of programs of all kinds, on every Python of the machine."""

import ast
import contextlib
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import SOURCE, interpreters, observe_code, observe_command
from support.programs import needs

from shipwheel.runtime import observer, pages
from shipwheel.trial.observation import Observation, Socket

pytestmark = needs("bwrap")

FOREVER = "serve().serve_forever()"


def places(seen: Observation) -> list[tuple[str, str, int]]:
    """Return the sockets without the time."""
    return [(found.protocol, found.address, found.port) for found in seen.sockets]


def test_its_syntax_and_its_imports_are_those_of_python_3_7() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 7))
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("python", interpreters())
def test_sees_a_server_from_start_to_stop(python: str, tmp_path: Path) -> None:
    seen = observe_code(f"print('starting'); open('made', 'w').close(); {FOREVER}", tmp_path, python=python, look_in=[str(tmp_path)])
    assert places(seen) == [("tcp", "0.0.0.0", 8000)]
    (answer,) = seen.answers
    assert (answer.port, answer.path, answer.address, answer.status, answer.type) == (8000, "/", "0.0.0.0", 200, "text/plain")
    assert answer.body == "it answers"
    assert answer.server.startswith("BaseHTTP/")
    assert seen.answer == answer
    assert seen.log == "starting\n"
    assert seen.ended is None
    assert seen.stop is not None
    assert not seen.stop.killed
    assert seen.ready is not None
    assert seen.sockets[0].seconds <= seen.ready <= seen.seconds
    assert seen.memory > 1 << 20
    assert (seen.processes, seen.zombies) == (1, 0)
    assert seen.written == (f"{tmp_path}/made",)
    asked = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    assert asked.stdout == f"Python {seen.python}\n"


@pytest.mark.parametrize(
    ("address", "is_loopback"), [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::", False), ("0.0.0.0", False)]
)
def test_sees_and_asks_every_address(address: str, is_loopback: bool, tmp_path: Path) -> None:
    seen = observe_code(f"serve({address!r}).serve_forever()", tmp_path)
    assert places(seen) == [("tcp", address, 8000)]
    assert seen.sockets[0].is_loopback == is_loopback
    assert seen.answer is not None


def test_asks_a_server_on_all_addresses_where_ipv6_is_off(tmp_path: Path) -> None:
    off = "open('/proc/sys/net/ipv6/conf/all/disable_ipv6', 'w').write('1')"
    seen = observe_code(f"{off}; serve('::').serve_forever()", tmp_path)
    assert seen.answer is not None, seen.log


def test_sees_udp_servers_but_not_udp_clients(tmp_path: Path) -> None:
    code = """
    server, exposed, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
    server.bind(("0.0.0.0", 5353))
    exposed.bind(("0.0.0.0", 51820))
    client.sendto(b"some.metric:1|c", ("127.0.0.1", 8125))
    signal.pause()
    """
    seen = observe_code(code, tmp_path, ports=[51820], patience=0)
    assert places(seen) == [("udp", "0.0.0.0", 5353), ("udp", "0.0.0.0", 51820)]


def test_does_not_count_a_socket_that_was_closed(tmp_path: Path) -> None:
    code = """
    class Once(Handler):
        def do_GET(self):
            self.server.is_over = True
    server = serve()
    server.RequestHandlerClass = Once
    server.handle_request()
    server.server_close()
    print("closed")
    signal.pause()
    """
    seen = observe_code(code, tmp_path)
    assert (seen.sockets, seen.ended, seen.log) == ((), None, "closed\n")


def test_asks_the_ports_that_the_image_exposes(tmp_path: Path) -> None:
    code = """
    threading.Thread(target=serve(port=9090).serve_forever).start()
    server = serve(port=8000)
    server.serve_forever()
    """
    seen = observe_code(code, tmp_path, ports=[8000])
    assert [answer.port for answer in seen.answers] == [8000]
    assert seen.answer is not None
    other = observe_code(code, tmp_path, ports=[5000], patience=0.5)
    assert {answer.port for answer in other.answers if answer.is_good}, "it listens on other ports only"


@pytest.mark.parametrize(("code", "ended"), [("sys.exit(0)", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGSEGV)", -11)])
def test_sees_how_a_command_ended(code: str, ended: int, tmp_path: Path) -> None:
    seen = observe_code(f"print('before'); {code}", tmp_path)
    assert (seen.ended, seen.stop, seen.log) == (ended, None, "before\n")


def test_says_why_a_program_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a program")
    assert observe_command(["no-such-program"], tmp_path).program_error == "no-such-program: No such file or directory"
    assert observe_command([str(tmp_path / "file")], tmp_path).program_error == f"{tmp_path}/file: Permission denied"


def test_kills_a_program_that_ignores_the_stop_signal(tmp_path: Path) -> None:
    seen = observe_code(f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}", tmp_path, grace=0.1)
    assert seen.stop is not None
    assert seen.stop.killed
    assert seen.ended is None


@pytest.mark.parametrize("name", ["SIGINT", "2", "SIGRTMIN+3", "SIGRTMAX-1"])
def test_stops_with_the_signal_of_the_image(name: str, tmp_path: Path) -> None:
    code = """
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGRTMIN + 3, signal.SIGRTMAX - 1):
        signal.signal(number, lambda number, frame: (print("got", number), os._exit(0)))
    serve().serve_forever()
    """
    seen = observe_code(code, tmp_path, signal=name)
    assert seen.log == f"got {observer.signal_of(name)}\n"
    assert seen.stop is not None
    assert not seen.stop.killed


def test_an_unknown_signal_is_sigterm() -> None:
    assert observer.signal_of("SIGNOTHING") == observer.signal_of("SIGTERM") == observer.signal_of("15") == 15


def test_counts_processes_that_nobody_collects(tmp_path: Path) -> None:
    code = """
    for _ in range(3):
        if not os.fork():
            os._exit(0)
    serve().serve_forever()
    """
    assert observe_code(code, tmp_path).zombies == 3


def test_reads_processes_with_any_bytes_for_a_name(tmp_path: Path) -> None:
    name = "open('/proc/self/comm', 'wb').write(b'caf\\xe9\\xff')"
    assert observe_code(f"{name}; {FOREVER}", tmp_path).answer is not None


def test_keeps_the_beginning_and_the_end_of_a_long_output(tmp_path: Path) -> None:
    code = """
    print("the first line")
    for number in range(10):
        os.write(1, b"%d" % number * (1 << 20))
    print("\\nthe last line")
    """
    seen = observe_code(code, tmp_path)
    assert seen.ended == 0, "it was not blocked by a full pipe"
    assert seen.log.startswith("the first line\n0000")
    assert seen.log.endswith("9999\nthe last line\n")
    assert "\n[...]\n" in seen.log
    assert len(seen.log) == observer.LOG_HEAD + observer.LOG_TAIL + len("\n[...]\n")


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_a_short_output_is_kept_whole(parts: list[bytes]) -> None:
    read, write = socket.socketpair()
    with read, write, read.makefile("rb") as stream:
        log = observer.Log(stream)
        for part in parts:
            write.sendall(part)
        write.shutdown(socket.SHUT_WR)
        log.thread.join()
    assert log.text() == b"".join(parts).decode("utf-8", "replace")


def test_prints_its_result_on_a_line_of_its_own(tmp_path: Path) -> None:
    log_to_init = "open(f'/proc/{os.getppid()}/fd/1', 'w').write('{\"half\": \"a line')"
    assert observe_code(f"{log_to_init}; {FOREVER}", tmp_path).answer is not None


@pytest.mark.parametrize(
    "answer",
    [
        'b"-ERR unknown command\\r\\n"',
        'b"\\x15\\x03\\x03\\x00\\x02\\x02\\x46"',
        'b""',
        'b"HTTP/1.1 " + b"9" * 100000',
        'b"HTTP/1.1 200 OK\\r\\nX: " + b"y" * 100000 + b"\\r\\n\\r\\n"',
        'b"\\xff" * 100',
    ],
)
def test_a_server_that_speaks_something_else_gives_an_error_as_answer(answer: str, tmp_path: Path) -> None:
    code = f"""
    with socket.create_server(("0.0.0.0", 8000)) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall({answer})
    """
    seen = observe_code(code, tmp_path, patience=0.3)
    assert places(seen) == [("tcp", "0.0.0.0", 8000)]
    assert seen.ready is None
    assert seen.answers[0].error


def test_a_tls_server_gives_an_error_as_answer(tmp_path: Path) -> None:
    code = """
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with socket.create_server(("0.0.0.0", 8000)) as server:
        while True:
            try:
                context.wrap_socket(server.accept()[0], server_side=True)
            except ssl.SSLError as error:
                print(error.reason)
    """
    seen = observe_code(code, tmp_path, patience=0.3)
    assert "HTTP_REQUEST" in seen.log
    assert seen.answers[0].status == 0
    assert seen.answers[0].error


def test_gives_up_a_server_that_never_answers(tmp_path: Path) -> None:
    code = """
    server = socket.create_server(("0.0.0.0", 8000))
    signal.pause()
    """
    seen = observe_code(code, tmp_path, patience=0.3)
    assert seen.answers[0].error in ("TimeoutError", "timeout")
    assert seen.ended is None


def test_waits_for_a_server_that_is_slow(tmp_path: Path) -> None:
    seen = observe_code("server = serve(); time.sleep(2); server.serve_forever()", tmp_path)
    assert seen.ready is not None
    assert seen.answer is not None


def test_waits_for_a_server_that_fails_at_first(tmp_path: Path) -> None:
    statuses = {"/": [500, 503, 500, 200], "/docs": [200]}
    seen = observe_code(f"serve(statuses={statuses}).serve_forever()", tmp_path, paths=["/", "/docs"])
    assert seen.ready is not None
    assert {answer.path: answer.status for answer in seen.answers}["/"] == 200


def test_a_page_that_works_does_not_hide_one_that_fails(tmp_path: Path) -> None:
    statuses = {"/": [500], "/docs": [200]}
    seen = observe_code(f"serve(statuses={statuses}).serve_forever()", tmp_path, paths=["/", "/docs", "/never"], patience=0.5)
    assert seen.ready is None
    assert [(answer.path, answer.status) for answer in seen.answers] == [("/", 500), ("/docs", 200)]


def test_asks_the_next_path_if_one_is_not_found(tmp_path: Path) -> None:
    seen = observe_code("serve(statuses={'/b': [200]}).serve_forever()", tmp_path, paths=["/a", "/b", "/c"])
    assert [(answer.path, answer.status) for answer in seen.answers] == [("/a", 404), ("/b", 200)]


def test_leaves_out_what_a_program_prints_when_it_is_stopped(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit('interrupted')); print('starting', flush=True); serve().serve_forever()"
    assert observe_code(code, tmp_path).log == "starting\n"


def test_waits_longer_for_a_server_that_computes_while_it_starts(tmp_path: Path) -> None:
    code = "import time\nsince = time.process_time()\nwhile time.process_time() - since < 1: pass\nserve().serve_forever()"
    seen = observe_code(code, tmp_path, timeout=0.5, starting=60)
    assert (places(seen), seen.answer is not None) == ([("tcp", "0.0.0.0", 8000)], True)


def test_a_program_that_could_run_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        monkeypatch.setattr(observer, "processor_time", lambda _pids: 0.0)
        monkeypatch.setattr(observer, "processes", lambda: [process.pid])
        watch = observer.Watch(process, {"hosts": [], "ports": []})
        while not watch.worked:
            watch.look()
        process.send_signal(signal.SIGSTOP)
        while observer.status_of(process.pid)["State"][0] != "T":
            pass
        watch.look()
        stopped = watch.worked
        watch.look()
        assert watch.worked == stopped
    finally:
        process.kill()
        process.wait()


def test_gives_up_a_server_that_waits(tmp_path: Path) -> None:
    seen = observe_code("import time; time.sleep(20); serve().serve_forever()", tmp_path, timeout=0.5)
    assert (seen.ended, seen.sockets) == (None, ())


def test_names_new_files_and_directories_with_nothing_old_in_them(tmp_path: Path) -> None:
    for name in ("old/kept", "touched/old", "skipped/old"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("old")
    (tmp_path / "empty").mkdir()
    code = """
    os.makedirs("made/below")
    for name in ("made/below/a", "made/b", "empty/c", "touched/d", "skipped/e", "f"):
        open(name, "w").close()
    open("touched/old", "a").write("more")
    serve().serve_forever()
    """
    seen = observe_code(code, tmp_path, look_in=[str(tmp_path)], skip=[f"{tmp_path}/skipped"])
    assert [path.removeprefix(f"{tmp_path}/") for path in seen.written] == ["empty/", "f", "made/", "touched/d", "touched/old"]


def test_names_what_is_new_in_an_empty_working_directory(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    code = "os.makedirs('data/logs'); open('data/logs/a', 'w').close(); open('settings.yaml', 'w').close(); serve().serve_forever()"
    seen = observe_code(code, tmp_path / "work", look_in=[str(tmp_path)])
    assert [path.removeprefix(f"{tmp_path}/") for path in seen.written] == ["work/data/", "work/settings.yaml"]


def test_names_a_bounded_number_of_paths(tmp_path: Path) -> None:
    code = f"""
    for number in range({observer.MAX_WRITTEN} + 5):
        open(f"{{number}}", "w").close()
    os.makedirs("/".join("d" * 300))
    serve().serve_forever()
    """
    seen = observe_code(code, tmp_path, look_in=[str(tmp_path)])
    assert len(seen.written) == observer.MAX_WRITTEN
    assert all(first < second for first, second in pairwise(seen.written))


def test_a_machine_without_proc_gives_an_observation(tmp_path: Path) -> None:
    seen = observe_code("print('up'); signal.pause()", tmp_path, proc=False)
    assert (seen.ended, seen.sockets, seen.log) == (None, (), "up\n")


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_reads_addresses_in_the_machines_byte_order(address: object, port: int) -> None:
    packed = socket.inet_aton(str(address))
    word = packed[::-1] if sys.byteorder == "little" else packed
    assert observer.address_of(word.hex()) == str(address)
    assert Socket("tcp", str(address), port).is_loopback == str(address).startswith("127.")


def test_asks_as_the_first_host_that_is_not_refused_and_follows_links(tmp_path: Path) -> None:
    code = """
    class Hosts(Handler):
        def do_GET(self):
            known = self.headers["Host"] == "shop.example"
            page = b'<link href="/a.css?v=1"><script src=js/b.js></script><img src=c.png><a href="https://x.example/d.js">'
            self.send_response((200 if self.path in ("/", "/a.css") else 404) if known else 400)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page * known)
    server = serve()
    server.RequestHandlerClass = Hosts
    server.serve_forever()
    """
    seen = observe_code(code, tmp_path, hosts=["localhost", "shop.example"])
    assert seen.answer is not None
    assert seen.answer.host == "shop.example"
    assert [(page.path, page.status) for page in seen.pages[:2]] == [("/a.css", 200), ("/js/b.js", 404)]
    assert [page.path for page in seen.pages[2:]] == [pages.NO_PAGE, pages.DEBUGGER]


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("/a.css", ["/a.css"]),
        ("b/a.js?v=1", ["b/a.js"]),
        ("http://shop.example/static/a.css", ["/static/a.css"]),
        ("//shop.example/a.mjs", ["/a.mjs"]),
        ("https://shop.example/a.css", ["/a.css"]),
        ("http://cdn.example/a.css", []),
        ("//cdn.example/a.css", []),
        ("http://shop.example:8080/a.css", []),
        ("data:x.css", []),
        ("http://[::1/a.css", []),
        ("#a.css", []),
    ],
)
def test_knows_the_files_of_its_own_server_that_a_page_links_to(link: str, found: list[str]) -> None:
    assert pages.own_links(f'<link rel=stylesheet href="{link}">', "shop.example") == found


def test_asks_for_the_pages_of_the_source_where_there_are_no_usual_ones(tmp_path: Path) -> None:
    code = "serve(statuses={'/broken': [500], '/sales': [200], '/more': [200]}).serve_forever()"
    seen = observe_code(code, tmp_path, declared=["/gone", "/broken", "/sales", "/more"], patience=5)
    assert [(answer.path, answer.status, answer.declared) for answer in seen.answers] == [
        ("/", 404, False),
        ("/broken", 500, True),
        ("/sales", 200, True),
    ]
    assert seen.ready is not None
    seen = observe_code("serve().serve_forever()", tmp_path, declared=["/sales"])
    assert [answer.path for answer in seen.answers] == ["/"]


def test_sees_unix_sockets(tmp_path: Path) -> None:
    code = f"""
    server = socket.socket(socket.AF_UNIX)
    server.bind({str(tmp_path / "x.sock")!r})
    server.listen()
    for name in (".gunicorn/gunicorn.ctl", "pymp-2a/listener-b"):
        os.mkdir(os.path.dirname(name))
        private = socket.socket(socket.AF_UNIX)
        private.bind(f"{{os.getcwd()}}/{{name}}")
        private.listen()
        globals()[name] = private
    signal.pause()
    """
    assert observe_code(code, tmp_path, timeout=0.5).unix == (str(tmp_path / "x.sock"),)


def test_asks_a_server_that_speaks_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    code = f"""
    import ssl
    server = serve()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain({str(certificate)!r}, {str(key)!r})
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
    """
    assert observe_code(code, tmp_path).answer is not None


REDIRECTING = """
class Redirecting(Handler):
    def do_GET(self):
        self.send_response(200 if self.headers["X-Forwarded-Proto"] == "https" and {by_http} else 302)
        self.send_header("Location", {location!r})
        self.end_headers()
server = serve()
server.RequestHandlerClass = Redirecting
server.serve_forever()
"""
"""A server that redirects every caller, or with `by_http` those alone that no proxy serves by https."""


def test_asks_as_a_proxy_where_a_page_redirects_to_itself(tmp_path: Path) -> None:
    answer = observe_code(REDIRECTING.format(by_http=True, location="https://localhost/"), tmp_path).answer
    assert answer is not None
    assert (answer.status, answer.forwarded) == (200, True)


PAGES = """
class Pages(Handler):
    def do_GET(self):
        self.send_response({{"/": 302, "/login?next=/": {status}}}.get(self.path, 404))
        self.send_header("Location", "http://localhost/login?next=/")
        self.end_headers()
server = serve()
server.RequestHandlerClass = Pages
server.serve_forever()
"""
"""A server whose first page redirects to another one."""


@pytest.mark.parametrize("status", [200, 500])
def test_asks_for_the_page_that_the_first_one_redirects_to(status: int, tmp_path: Path) -> None:
    seen = observe_code(PAGES.format(status=status), tmp_path, patience=1)
    assert {answer.path: answer.status for answer in seen.answers}["/login?next=/"] == status
    assert (seen.ready is not None) == (status == 200)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("login", "/shop/login"),
        ("/login?next=/shop/#top", "/login?next=/shop/"),
        ("http://localhost/login", "/login"),
        ("https://localhost/login", ""),
        ("http://localhost:5173/", ""),
        ("//shop.example/", ""),
        ("/shop/", ""),
        ("", ""),
        ("javascript:x", ""),
        ("http://[::1/", ""),
    ],
)
def test_knows_the_page_of_the_same_server_that_a_redirect_leads_to(location: str, target: str) -> None:
    assert pages.target_of({"status": 302, "location": location, "host": "localhost", "path": "/shop/"}) == target
    assert pages.target_of({"status": 200, "location": location, "host": "localhost", "path": "/shop/"}) == ""


@pytest.mark.parametrize(
    ("location", "is_own"),
    [("https://x/", True), ("/", True), ("", False), ("/login", False), ("/?next=1", False), ("http://[::1/", False)],
)
def test_knows_a_redirect_to_the_same_page(location: str, is_own: bool) -> None:
    assert pages.is_own_place(location, "/") is is_own


@pytest.mark.parametrize(
    ("location", "is_elsewhere"),
    [("", False), ("/", False), ("https://localhost:8443/", False), ("https://shop.example/", True), ("http://[::1/", False)],
)
def test_knows_a_redirect_to_another_server(location: str, is_elsewhere: bool) -> None:
    assert pages.is_elsewhere(location, "localhost:80") is is_elsewhere


def test_a_front_page_of_another_server_is_no_loop(tmp_path: Path) -> None:
    answer = observe_code(REDIRECTING.format(by_http=False, location="https://shop.example/"), tmp_path).answer
    assert answer is not None
    assert (answer.status, answer.forwarded) == (302, False)


def test_sees_processes_that_a_command_leaves(tmp_path: Path) -> None:
    seen = observe_code("os.fork() or signal.pause()", tmp_path)
    assert (seen.ended, seen.left) == (0, 1)


def test_does_not_wait_for_the_end_of_a_stream(tmp_path: Path) -> None:
    code = """
    class Stream(Handler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
    server = serve()
    server.RequestHandlerClass = Stream
    server.serve_forever()
    """
    answer = observe_code(code, tmp_path, patience=0.3).answer
    assert answer is not None
    assert set(answer.body) == {"x"}


@pytest.mark.parametrize("before", [0, 500])
def test_opens_a_session_of_a_page_whose_script_only_runs_for_one(before: int, tmp_path: Path) -> None:
    code = """
    class Page(Handler):
        def do_GET(self):
            is_session = self.headers.get("Upgrade") == "websocket"
            if is_session and self.path != "/stream":
                return self.send_error(404)
            self.send_response(101 if is_session else 200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            if not is_session:
                self.wfile.write(b"-" * BEFORE + b"<title>Streamlit</title>")
                return
            self.connection.sendall(bytes.fromhex("8203" "0a0161"))
            print("asked for", self.rfile.read(8)[6:].hex(), flush=True)
            time.sleep(0.5)
            print("Uncaught app exception", flush=True)
            self.connection.sendall(bytes.fromhex("827e0007" "0a01611202" "3000"))
    server = serve()
    server.RequestHandlerClass = Page
    server.serve_forever()
    """
    code = code.replace("BEFORE", str(before))
    assert observe_code(code, tmp_path, patience=60).log.split("\n") == ["asked for 5a00", "Uncaught app exception", ""]


@given(st.binary())
def test_any_message_has_a_field_or_not(message: bytes) -> None:
    with contextlib.suppress(IndexError, KeyError):
        pages.has_field(message, 6)


def test_finds_the_field_of_a_message_behind_others() -> None:
    before = bytes.fromhex("08 96 01 11 0102030405060708 1a 02 6161 25 01020304")
    assert pages.has_field(before + b"\x30\x00", 6)
    assert not pages.has_field(before, 6)


def test_a_server_that_knows_no_page_is_not_watched_for_long(tmp_path: Path) -> None:
    seen = observe_code("Handler.statuses = {}\n" + FOREVER, tmp_path, patience=600)
    assert {answer.status for answer in seen.answers} == {404}
