"""Names that packages and Python itself no longer have: code that imports them is older than the version that removed them."""

import posixpath
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from shipwheel.project.entrypoint.module import Module
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

__all__ = ["OldName", "old_names", "specifiers_of"]


class OldName(msgspec.Struct, frozen=True):
    """An import of a name that is gone: `place` says where, `day` is the last one on which the newest version had it.

    `ended_by` is the version without it ("flask 3.0"). `package` is the normalized name of a Python package, and `bound` the requirement
    for its versions with the name; both are empty for the standard library.
    """

    name: str
    place: str
    day: date
    ended_by: str
    package: str = ""
    bound: str = ""

    @property
    def reason(self) -> str:
        """A clause about what makes the code old."""
        return f"{self.place} uses {self.name}, which {self.ended_by} and later do not support"


class _Removal(msgspec.Struct, frozen=True):
    """The first release without some names, its day, and the last one before it. The package is empty for Python."""

    package: str
    version: str
    day: date
    last: str
    names: tuple[str, ...]


def _removal(package: str, version: str, day: str, last: str, names: str) -> _Removal:
    return _Removal(package, version, date.fromisoformat(day), last, tuple(names.split()))


_REMOVALS = (
    _removal("flask", "1.0", "2018-04-26", "0.12.5", "flask.ext"),
    _removal("flask", "2.0", "2021-05-11", "1.1.4", "flask._compat flask_script"),
    _removal(
        "flask",
        "2.3",
        "2023-04-25",
        "2.2.3",
        "flask._app_ctx_stack flask._request_ctx_stack flask.json.JSONEncoder flask.before_first_request flask.before_app_first_request",
    ),
    _removal("flask", "3.0", "2023-09-30", "2.3.3", "flask.Markup flask.escape"),
    _removal(
        "werkzeug",
        "1.0",
        "2020-02-06",
        "0.16.1",
        "werkzeug.contrib werkzeug.secure_filename werkzeug.generate_password_hash werkzeug.check_password_hash werkzeug.redirect"
        " werkzeug.cached_property werkzeug.import_string werkzeug.url_encode werkzeug.SharedDataMiddleware werkzeug.FileStorage"
        " werkzeug.ImmutableMultiDict flask_restplus",
    ),
    _removal("werkzeug", "2.1", "2022-03-28", "2.0.3", "werkzeug.security.safe_str_cmp werkzeug.wrappers.BaseResponse"),
    _removal(
        "werkzeug",
        "3.0",
        "2023-09-30",
        "2.3.7",
        "werkzeug.urls.url_parse werkzeug.urls.url_encode werkzeug.urls.url_decode werkzeug.urls.url_quote werkzeug.urls.url_quote_plus"
        " werkzeug.urls.url_unquote werkzeug.urls.url_join werkzeug.urls.url_fix werkzeug.urls.url_unparse",
    ),
    _removal(
        "jinja2",
        "3.1",
        "2022-03-24",
        "3.0.3",
        "jinja2.Markup jinja2.escape jinja2.contextfilter jinja2.contextfunction jinja2.environmentfilter jinja2.evalcontextfilter",
    ),
    _removal("markupsafe", "2.1", "2022-02-18", "2.0.1", "markupsafe.soft_unicode"),
    _removal(
        "itsdangerous",
        "2.1",
        "2022-02-18",
        "2.0.1",
        "itsdangerous.JSONWebSignatureSerializer itsdangerous.TimedJSONWebSignatureSerializer itsdangerous.json",
    ),
    _removal("wtforms", "3.0", "2021-11-07", "2.3.3", "wtforms.ext wtforms.fields.html5 wtforms.validators.Required"),
    _removal("flask-sqlalchemy", "3.0", "2022-10-04", "2.5.1", "flask_sqlalchemy.BaseQuery flask_sqlalchemy.get_debug_queries"),
    _removal("django", "2.0", "2017-12-02", "1.11.29", "django.core.urlresolvers"),
    _removal(
        "django",
        "3.0",
        "2019-12-02",
        "2.2.28",
        "django.utils.six django.utils.lru_cache django.utils.encoding.python_2_unicode_compatible django.shortcuts.render_to_response"
        " django.contrib.staticfiles.templatetags django.utils.decorators.available_attrs",
    ),
    _removal(
        "django",
        "4.0",
        "2021-12-07",
        "3.2.10",
        "django.conf.urls.url django.utils.translation.ugettext django.utils.translation.ugettext_lazy"
        " django.utils.translation.ugettext_noop django.utils.translation.ungettext django.utils.translation.ungettext_lazy"
        " django.utils.encoding.force_text django.utils.encoding.smart_text django.utils.http.urlquote"
        " django.utils.http.is_safe_url django.contrib.postgres.fields.JSONField",
    ),
    _removal(
        "starlette",
        "1.0",
        "2026-03-22",
        "0.52.1",
        "starlette.TemplateResponse(name) starlette.applications.Starlette.route starlette.applications.Starlette.on_event"
        " starlette.applications.Starlette.middleware starlette.applications.Starlette.exception_handler"
        " starlette.applications.Starlette.websocket_route starlette.applications.Starlette.add_event_handler",
    ),
    _removal("python-fasthtml", "0.14", "2026-05-08", "0.13.4", "fasthtml.database fasthtml.common.database fasthtml.fast_app(db_file)"),
    _removal("sqlalchemy", "2.0", "2023-01-26", "1.4.46", "sqlalchemy.create_engine.execute"),
    _removal("pydantic", "2.0", "2023-06-30", "1.10.9", "pydantic.BaseSettings"),
    _removal("openai", "1.0", "2023-11-06", "0.28.1", "openai.ChatCompletion openai.Completion.create openai.Embedding openai.error"),
    _removal(
        "langchain",
        "0.2",
        "2024-05-20",
        "0.1.20",
        "langchain.llms langchain.vectorstores langchain.document_loaders langchain.chat_models.openai langchain.chat_models.ChatOpenAI"
        " langchain.chat_models.AzureChatOpenAI langchain.chat_models.ChatAnthropic langchain.chat_models.ChatOllama"
        " langchain.embeddings.openai langchain.embeddings.huggingface langchain.embeddings.OpenAIEmbeddings"
        " langchain.embeddings.HuggingFaceEmbeddings langchain.embeddings.HuggingFaceInstructEmbeddings"
        " langchain.embeddings.HuggingFaceBgeEmbeddings langchain.embeddings.SentenceTransformerEmbeddings",
    ),
    _removal("python-telegram-bot", "20.0", "2023-01-01", "13.15", "telegram.ext.Filters telegram.ext.Dispatcher"),
    _removal("aiogram", "3.0", "2023-09-01", "2.25.1", "aiogram.executor aiogram.utils.executor aiogram.dispatcher.FSMContext"),
    _removal(
        "gradio",
        "4.0",
        "2023-10-31",
        "3.50.2",
        "gradio.inputs gradio.outputs gradio.queue(concurrency_count) gradio.launch(enable_queue)",
    ),
    _removal(
        "gradio",
        "5.0",
        "2024-10-09",
        "4.44.1",
        "gradio.ChatInterface(retry_btn) gradio.ChatInterface(undo_btn) gradio.ChatInterface(clear_btn)",
    ),
    _removal(
        "gradio",
        "6.0",
        "2025-11-21",
        "5.49.1",
        "gradio.Chatbot(type) gradio.Chatbot(bubble_full_width) gradio.Chatbot(show_copy_button) gradio.ChatInterface(type)"
        " gradio.ChatInterface(theme) gradio.ChatInterface(css) gradio.launch(show_api)",
    ),
    _removal(
        "streamlit",
        "1.37",
        "2024-07-25",
        "1.36.0",
        "streamlit.experimental_rerun streamlit.experimental_memo streamlit.experimental_singleton streamlit.experimental_data_editor",
    ),
    _removal(
        "streamlit", "1.54", "2026-02-04", "1.53.1", "streamlit.experimental_get_query_params streamlit.experimental_set_query_params"
    ),
    _removal("streamlit", "1.62", "2026-08-19", "1.61.1", "streamlit.cache"),
    _removal("celery", "5.0", "2020-09-24", "4.4.7", "celery.task celery.decorators"),
    _removal("moviepy", "2.0", "2024-11-15", "1.0.3", "moviepy.editor"),
    _removal(
        "",
        "3.10",
        "2021-10-04",
        "",
        "collections.Mapping collections.MutableMapping collections.Iterable collections.Sequence collections.Callable"
        " collections.Hashable collections.Iterator",
    ),
    _removal("", "3.11", "2022-10-24", "", "asyncio.coroutine inspect.getargspec"),
    _removal("", "3.12", "2023-10-02", "", "imp asyncore asynchat smtpd"),
    _removal("", "3.13", "2024-10-07", "", "imghdr telnetlib crypt pipes sndhdr audioop nntplib"),
)
_BROUGHT_BACK = ("standard-{}", "py{}", "zombie-{}")
"""Names of packages that have a removed module of Python."""
_NOW_IN = {"python-fasthtml": "fastlite"}
"""Package -> the one that has the names which it no longer brings: who requires that knows it."""
_BY_NAME = {name: removal for removal in _REMOVALS for name in removal.names}


def old_names(modules: Iterable[Module], requirements: Sequence[str]) -> tuple[OldName, ...]:
    """Return the names that modules of a project import or call though they are gone, one for each release that removed some.

    A name does not count if the project's `requirements` (PEP 508) exclude all versions that had it, or bring it back, nor if a module of
    the project has it.
    """
    modules, bounds = tuple(modules), specifiers_of(requirements)
    own = {module.top_level for module in modules} | {(posixpath.dirname(module.file), _stem(module)) for module in modules}
    found: dict[_Removal, OldName] = {}
    for module in modules:
        for dotted, line in (*module.required, *module.required_calls):
            name, removal = _removed(dotted)
            if removal is None or removal in found or _NOW_IN.get(removal.package) in bounds:
                continue
            if not all(bound.contains(removal.last) for bound in bounds.get(removal.package, ())):
                continue
            top = name.partition(".")[0]
            if top in own or (posixpath.dirname(module.file), top) in own or any(each.format(top) in bounds for each in _BROUGHT_BACK):
                continue
            bound = f"{removal.package}<{removal.version}" if removal.package else ""
            ended_by = f"{removal.package or 'Python'} {removal.version}"
            place = f"{module.file}, line {line},"
            found[removal] = OldName(name, place, removal.day - timedelta(days=1), ended_by, removal.package, bound)
    return tuple(sorted(found.values(), key=lambda each: each.day))


def _stem(module: Module) -> str:
    return posixpath.basename(module.file).removesuffix(".py")


def _removed(dotted: str) -> tuple[str, _Removal | None]:
    parts = dotted.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(((name, removal) for name in names if (removal := _BY_NAME.get(name)) is not None), ("", None))


def specifiers_of(requirements: Sequence[str]) -> "dict[str, list[SpecifierSet]]":
    """Return normalized name -> version specifiers of requirements (PEP 508); what is none is left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    found: dict[str, list[SpecifierSet]] = {}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        found.setdefault(normalized(requirement.name), []).append(requirement.specifier)
    return found
