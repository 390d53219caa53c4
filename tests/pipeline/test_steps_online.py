"""Django projects with real tools: Debian's node and collectstatic in bubblewrap, and the handler of static files that nothing collects."""

import json
from pathlib import Path

import pytest
from support.command import shipwheel_json
from support.last_layers import last_layers
from support.programs import needs, needs_mirror
from support.project_tree import written

from shipwheel.platform import host_platform

pytestmark = [pytest.mark.online, needs_mirror]

BUILD = "const fs = require('fs'); fs.mkdirSync('shop/static/shop', {recursive: true}); fs.writeFileSync('shop/static/shop/app.js', '1;')"
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
    "package.json": json.dumps({"name": "shop", "version": "1.0.0", "scripts": {"build": "node build.js"}}),
    "package-lock.json": json.dumps({"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {}}),
    "build.js": BUILD,
    "shipwheel.toml": '[[assets]]\nrun = "npm run build"\noutput = "shop/static/shop/app.js"\n',
}


@needs("bwrap")
def test_a_front_end_is_built_and_collected(tmp_path: Path) -> None:
    app = written(tmp_path / "shop", FILES)
    layout = tmp_path / "shop.oci"
    shipwheel_json("build", app, "--platform", str(host_platform()), "-o", layout)
    (files,) = last_layers(layout)
    names = {name.removeprefix("app/collected/") for name in files}
    assert {"shop/app.css", "shop/app.js", "staticfiles.json"} <= names
    assert len([name for name in names if name.endswith(".js")]) == 2, "one has its hash in its name"
    assert files["app/collected/shop/app.js"] == b"1;"


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
