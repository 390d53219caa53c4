"""The module of an image that serves an application of Django's behind Django's own handler of static files.

That handler (django.contrib.staticfiles.handlers) is what `runserver` has in front. It finds the files of the apps by itself: nothing has
to be collected. Other than there, it gets only requests for files that it finds.
"""

from shipwheel.files.entry import file
from shipwheel.pipeline.generated import Generated
from shipwheel.project.entrypoint.launch import FRONT_MODULE, StaticFront

__all__ = ["front_files"]

_MODULE = '''\
"""Serve {application} behind the handler of its static files, as Django's runserver does: nothing else in this image serves them."""

{loading}from {module} import {name} as served

import os.path
import posixpath

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation


def behind_static_files(application):
    try:
        {imports}
    except ImportError:  # This version of Django has none.
        return application

    from django.contrib.staticfiles import finders

    class Front(Handler):
        def _should_handle(self, path):
            """Leave to the application what no app has: it may serve files below STATIC_URL itself."""
            if not super()._should_handle(path):
                return False
            try:
                found = finders.find(posixpath.normpath(self.file_path(path)).lstrip("/"))
            except (SuspiciousFileOperation, ValueError):
                return False
            return bool(found) and os.path.isfile(found)

    try:
        return Front({single})
    except ImproperlyConfigured:  # The settings have no STATIC_URL.
        return application


'''
_LOADING = "import django\n\ndjango.setup()\n\n"
_OBJECT = "{name} = behind_static_files(served)\n"
_FACTORY = "def {name}():\n    return behind_static_files(served())\n"


def front_files(front: StaticFront, site_packages: str) -> Generated:
    """Return the module, in a directory of the import path. An ASGI application may still be one of ASGI 2, as Channels 2 makes them."""
    module, _, variable = front.application.partition(":")
    name = variable.removesuffix("()") or "application"
    imports = "from django.contrib.staticfiles.handlers import StaticFilesHandler as Handler"
    if front.is_asgi:
        imports = "from asgiref.compatibility import guarantee_single_callable\n        " + imports.replace("import ", "import ASGI")
    single = "guarantee_single_callable(application)" if front.is_asgi else "application"
    text = _MODULE + (_FACTORY if front.is_factory else _OBJECT)
    loading = _LOADING if front.loads_apps else ""
    text = text.format(loading=loading, application=front.application, module=module, name=name, imports=imports, single=single)
    return Generated("static files", (file(f"{site_packages}/{FRONT_MODULE}.py", text),))
