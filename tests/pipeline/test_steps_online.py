"""Django projects with real tools: the example, and the handler of static files that nothing collects."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ROOT, environment, shipwheel_json
from support.programs import needs, needs_mirror
from support.project_tree import written

from shipwheel.platform import host_platform

pytestmark = [pytest.mark.online, needs_mirror]

FILES = {
    "requirements.txt": "django==5.2.8\nwhitenoise==6.11.0\n",
    "manage.py": (
        "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    ),
    "shop/__init__.py": "",
    "shop/settings.py": (
        "import os\nfrom pathlib import Path\nBASE_DIR = Path(__file__).parent.parent\nSECRET_KEY = os.environ['SECRET_KEY']\n"
        "INSTALLED_APPS = ['django.contrib.staticfiles', 'shop']\nWSGI_APPLICATION = 'shop.wsgi.application'\nSTATIC_URL = '/static/'\n"
        "STATIC_ROOT = BASE_DIR / 'collected'\n"
        "STORAGES = {'staticfiles': {'BACKEND': 'whitenoise.storage.CompressedManifestStaticFilesStorage'}}\n"
    ),
    "shop/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    "shop/static/shop/app.css": "body { color: red }\n",
}


VISIT = """
import re, signal, subprocess, sys, time, urllib.request

def get(path):
    request = urllib.request.Request(f"http://127.0.0.1:8000{path}", headers={"Accept-Language": "de"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=600) as answer:
        return answer.status, answer.read().decode()

with subprocess.Popen(sys.argv[1:]) as server:
    try:
        while server.poll() is None:
            try:
                status, page = get("/")
                break
            except ConnectionError:
                time.sleep(0.1)
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionError):
                    raise
                time.sleep(0.1)
        print(status, "Willkommen" in page, "C of our own: True" in page)
        for path in re.findall('(?:href|src)="([^"]+)"', page):
            print(path, get(path)[0])
    finally:
        server.send_signal(signal.SIGINT)
"""
"""Starts a server and visits it in German, with all that its page names. It has a network for itself."""


@needs("bwrap")
def test_the_example_is_built_and_served_by_two_commands(tmp_path: Path) -> None:
    """docs/how-to/compiling.md, "A whole example", for one platform."""
    shutil.copytree(ROOT / "examples" / "django", tmp_path / "shop", ignore=shutil.ignore_patterns("pylock.toml", "node_modules", "dist"))
    with (tmp_path / "shop" / "shipwheel.toml").open("a") as settings:
        # uWSGI takes a third of the time, and less without the forty plugins that no test asks.
        settings.write('[build]\nenv = { CFLAGS = "-O0", UWSGI_PROFILE_OVERRIDE = "embedded_plugins=python,corerouter,http" }\n')
    archive = tmp_path / "shop.tar"
    shipwheel_json("build", tmp_path / "shop", "-o", archive, "--platform", str(host_platform()), "--no-bytecode")
    run = [sys.executable, "-m", "shipwheel", "run", str(archive), "-e", "SECRET_KEY=only-for-a-trial", "--engine", "bwrap"]
    alone = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", "--", sys.executable, "-c", VISIT]
    done = subprocess.run([*alone, *run], env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    page, *assets = done.stdout.splitlines()[-3:] or [""]
    assert page == "200 True True", done.stderr
    assert [re.sub(r"\.[0-9a-f]{12}\.", ".HASH.", line) for line in assets] == [
        "/static/shop/main.HASH.css 200",
        "/static/shop/main.HASH.js 200",
    ]


PAGE = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse('<link rel="stylesheet" href="/static/shop/app.css">'))]
"""


@needs("bwrap")
def test_static_files_that_no_package_serves_are_served(tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if name.startswith(("manage", "shop/"))}
    settings = "SECRET_KEY = '-' * 50\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'shop.urls'\nSTATIC_URL = '/static/'\n"
    files |= {
        "requirements.txt": "django==5.2.8\n",
        "shop/settings.py": f"{settings}INSTALLED_APPS = ['django.contrib.staticfiles', 'shop']\n",
        "shop/urls.py": PAGE,
    }
    app = written(tmp_path / "shop", files)
    seen = shipwheel_json("check", app, "--platform", str(host_platform()), "--engine", "bwrap")
    assert (seen["verdict"], [finding["kind"] for finding in seen["findings"]]) == ("serves", []), seen
