"""Errors in tracebacks: where output tells why a program ended."""

import pytest

from shipwheel.signs.outgrown import Misfit, absent_name, is_outgrown, misfit
from shipwheel.signs.tracebacks import error_line, is_at_error, program_lines

FAILED = """\
[2026-11-27 19:47:42 +0000] [6] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/opt/venv/lib/python3.9/site-packages/gunicorn/util.py", line 370, in import_app
    mod = importlib.import_module(module)
  File "/app/shop.py", line 1, in <module>
    from flask import _app_ctx_stack
ImportError: cannot import name '_app_ctx_stack' from 'flask' (/opt/venv/lib/python3.9/site-packages/flask/__init__.py)
[2026-11-27 19:47:42 +0000] [6] [INFO] Worker exiting (pid: 6)
"""
HALTED = """\
Traceback (most recent call last):
  File "/opt/venv/lib/python3.9/site-packages/gunicorn/arbiter.py", line 529, in reap_workers
    raise HaltServer(reason, self.WORKER_BOOT_ERROR)
gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/venv/bin/gunicorn", line 8, in <module>
    sys.exit(run())

gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>
"""


def test_the_error_of_a_worker_counts_and_not_that_of_the_server_that_ends_with_it() -> None:
    assert error_line(FAILED + HALTED) == error_line(FAILED) == FAILED.splitlines()[-2]
    lines = [line for line in program_lines(FAILED + HALTED) if line]
    assert lines == [*FAILED.splitlines(), "During handling of the above exception, another exception occurred:"]
    absent = absent_name(FAILED + HALTED)
    assert absent is not None
    assert (absent.name, absent.module) == ("_app_ctx_stack", "flask")


def test_a_traceback_without_its_end_is_kept() -> None:
    cut = FAILED + "\n".join(HALTED.splitlines()[:3])
    assert program_lines(cut) == cut.splitlines()
    assert error_line(HALTED) == "During handling of the above exception, another exception occurred:"


def test_the_head_of_a_list_of_errors_is_told_with_the_first_of_them() -> None:
    head, first = "pydantic_core.ValidationError: 2 validation errors for Settings", "SHOP_KEY\n  Field required [type=missing]\n"
    log = f"Traceback (most recent call last):\n  File 'a.py', line 1\n{head}\n{first}SHOP_URL\n  Field required\n"
    assert error_line(log) == f"{head} SHOP_KEY Field required [type=missing]"


def test_without_a_traceback_the_last_line_at_the_level_of_errors_counts() -> None:
    own = "[INFO] Listening\n2026-11-27 ERROR:shop: no key is set\nINFO:shop: bye\n"
    assert error_line(f"{own}[ERROR] Unexpected exit from worker-1\n[INFO] Stopped worker-1\n") == "2026-11-27 ERROR:shop: no key is set"
    assert error_line("INFO:shop: bye\n[INFO] Stopped worker-1\n") == "INFO:shop: bye"


def test_a_last_line_without_a_level_counts_before_an_earlier_error() -> None:
    last = "shop: error: the following arguments are required: --config"
    assert error_line(f"ERROR:plugins: no GPU found, the CPU is used\nusage: shop [-h] --config FILE\n{last}\n") == last


@pytest.mark.parametrize(
    ("error", "inside", "found"),
    [
        ("ImportError: cannot import name 'unquote' from 'yarl' (/opt/venv/lib/python3.9/site-packages/yarl/__init__.py)", "", True),
        ("AttributeError: module 'yarl' has no attribute 'quoting'", "", True),
        ("AttributeError: module 'yarl' has no attribute 'quoting'", "yarl/__init__.py", True),
        ("ModuleNotFoundError: No module named 'yarl.quoting'", "", True),
        ("AttributeError: module 'aiohttp' has no attribute 'x'", "", False),
        ("ModuleNotFoundError: No module named 'yarl'", "", False),
        ("AttributeError: 'str' object has no attribute 'x'", "", False),
    ],
)
def test_a_package_that_wants_what_another_has_not_is_a_misfit(error: str, inside: str, found: bool) -> None:
    frames = ["/app/main.py", "/opt/venv/lib/python3.9/site-packages/aiohttp/web.py"]
    frames += [f"/opt/venv/lib/python3.9/site-packages/{inside}"] if inside else []
    functions = ["<module>", "<module>", "__getattr__"]
    shown = "".join(f'  File "{path}", line 3, in {name}\n    import it\n' for path, name in zip(frames, functions, strict=False))
    assert misfit(f"Traceback (most recent call last):\n{shown}{error}\n") == (Misfit("aiohttp", "yarl") if found else None)


def test_what_the_program_itself_wants_of_a_package_is_a_misfit() -> None:
    assert misfit(FAILED) == Misfit("", "flask")
    assert misfit(FAILED.replace("/app/shop.py", "/usr/lib/python3.9/abc.py")) is None


def test_a_line_of_many_paths_is_read_once() -> None:
    """As often as it names site-packages, that took hours."""
    assert not is_outgrown("/site-packages/a" * 200_000 + "\n")


@pytest.mark.parametrize(
    ("line", "at_error"),
    [
        ("2026-11-27 ERROR shop: INFO is off", True),
        ("[CRITICAL] shop", True),
        ("INFO:shop:mails at level ERROR are off", False),
        ("12 read, ERROR: 0", False),
    ],
)
def test_the_first_level_of_a_line_is_its_own(line: str, at_error: bool) -> None:
    assert is_at_error(line) is at_error
