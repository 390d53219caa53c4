"""Names that packages and Python itself no longer have, with the releases that ended them."""

from collections.abc import Iterator
from datetime import date

import msgspec

__all__ = ["REMOVAL_OF", "REMOVED_ARGUMENTS", "Removal"]


class Removal(msgspec.Struct, frozen=True):
    """The first release without some names, its day, and the last one before it. The package is empty for Python."""

    package: str
    version: str
    day: date
    last: str
    names: tuple[str, ...]


def _removal(package: str, version: str, day: str, last: str, names: str) -> Removal:
    return Removal(package, version, date.fromisoformat(day), last, tuple(names.split()))


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
    _removal("mcp", "2.0", "2026-07-28", "1.28.1", "mcp.server.fastmcp mcp.server.FastMCP"),
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
REMOVAL_OF = {name: removal for removal in _REMOVALS for name in removal.names}
"""Dotted name, with an argument in parentheses where only that is gone -> the release without it."""


def _arguments() -> Iterator[tuple[str, frozenset[str]]]:
    pairs = [name.removesuffix(")").partition("(")[::2] for name in REMOVAL_OF]
    for called in {called for called, argument in pairs if argument}:
        yield called, frozenset(argument for each, argument in pairs if each == called and argument)


REMOVED_ARGUMENTS = dict(_arguments())
"""Dotted name of a class or function -> its arguments that are gone."""
