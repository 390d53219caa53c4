"""Packages of the index that many projects use, and the packages of modules that have other names.

The index alone cannot tell: a package there may have a module's name and be a stranger's.
"""

from shipwheel.versions import normalized

__all__ = [
    "COMMON_PACKAGES",
    "GENERATED_SUFFIXES",
    "PACKAGE_OF_MODULE",
    "extends_django",
    "package_of_module",
    "requirement_of_module",
    "shown_requirement",
]

GENERATED_SUFFIXES = ("_pb2", "_pb2_grpc")
"""The ends of the names of modules that protoc generates: no package brings them."""
PACKAGE_OF_MODULE = {
    "pkg_resources": "setuptools<81",
    "distutils": "setuptools",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "RPi": "RPi.GPIO",
    "yaml": "pyyaml",
    "dotenv": "python-dotenv",
    "sklearn": "scikit-learn",
    "argon2": "argon2-cffi",
    "bs4": "beautifulsoup4",
    "jwt": "pyjwt",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "dateutil": "python-dateutil",
    "jose": "python-jose",
    "multipart": "python-multipart",
    "magic": "python-magic",
    "cgi": "legacy-cgi",
    "google.protobuf": "protobuf",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "Crypto": "pycryptodome",
    "git": "gitpython",
    "slugify": "python-slugify",
    "attr": "attrs",
    "websocket": "websocket-client",
    "ldap": "python-ldap",
    "fitz": "pymupdf",
    "decouple": "python-decouple",
    "environ": "django-environ",
    "corsheaders": "django-cors-headers",
    "rest_framework": "djangorestframework",
    "debug_toolbar": "django-debug-toolbar",
    "redis": "redis",
    "zmq": "pyzmq",
    "serial": "pyserial",
    "usb": "pyusb",
    "OpenSSL": "pyopenssl",
    "faiss": "faiss-cpu",
    "socketio": "python-socketio",
    "engineio": "python-engineio",
    "telegram": "python-telegram-bot",
    "discord": "discord.py",
    "pymysql": "pymysql",
    "web": "web.py",
    "graphql": "graphql-core",
    "strawberry": "strawberry-graphql",
    "fasthtml": "python-fasthtml",
    "playhouse": "peewee",
    "memcache": "python-memcached",
    "nats": "nats-py",
    "grpc": "grpcio",
    "github": "pygithub",
    "tortoise": "tortoise-orm",
    "consul": "python-consul",
    "kafka": "kafka-python",
    "stomp": "stomp.py",
    "socks": "pysocks",
    "allauth": "django-allauth",
    "crispy_forms": "django-crispy-forms",
    "storages": "django-storages",
    "import_export": "django-import-export",
    "django_filters": "django-filter",
    "rest_framework_simplejwt": "djangorestframework-simplejwt",
    "knox": "django-rest-knox",
    "taggit": "django-taggit",
    "ckeditor": "django-ckeditor",
    "guardian": "django-guardian",
    "mptt": "django-mptt",
    "tinymce": "django-tinymce",
    "widget_tweaks": "django-widget-tweaks",
    "phonenumber_field": "django-phonenumber-field",
    "haystack": "django-haystack",
    "compressor": "django-compressor",
    "simple_history": "django-simple-history",
    "jazzmin": "django-jazzmin",
    "unfold": "django-unfold",
    "silk": "django-silk",
    "bootstrap4": "django-bootstrap4",
    "bootstrap5": "django-bootstrap5",
    "oauth2_provider": "django-oauth-toolkit",
    "social_django": "social-auth-app-django",
    "ninja": "django-ninja",
    "anymail": "django-anymail",
    "model_utils": "django-model-utils",
    "template_partials": "django-template-partials",
    "modeltranslation": "django-modeltranslation",
    "imagekit": "django-imagekit",
    "colorfield": "django-colorfield",
    "tailwind": "django-tailwind",
    "apiclient": "google-api-python-client",
    "googleapiclient": "google-api-python-client",
    "bson": "pymongo",
    "gridfs": "pymongo",
    "nacl": "pynacl",
    "Cryptodome": "pycryptodomex",
    "dns": "dnspython",
    "speech_recognition": "speechrecognition",
    "barcode": "python-barcode",
    "saml2": "pysaml2",
    "onelogin": "python3-saml",
    "skimage": "scikit-image",
    "umap": "umap-learn",
    "Xlib": "python-xlib",
    "telebot": "pytelegrambotapi",
    "linebot": "line-bot-sdk",
    "vlc": "python-vlc",
    "whisper": "openai-whisper",
    "mysql.connector": "mysql-connector-python",
}
"""Modules that are not in the Python package of their name -> the package that has them, as a requirement."""

COMMON_PACKAGES = tuple(
    """
    aiofiles aiogram aiohttp aiomysql aioredis aiosqlite alembic altair anthropic anyio apiflask apscheduler ariadne arq asgiref asyncpg
    attrs authlib azure-identity azure-storage-blob bcrypt beanie beautifulsoup4 blacksheep bleach bokeh boto3 botocore bottle
    cachetools celery certifi chainlit channels channels-redis chardet charset-normalizer chromadb click colorama confluent-kafka
    connexion crispy-bootstrap4 crispy-bootstrap5 cryptography daphne dash dash-bootstrap-components dash-mantine-components dask
    databases discord.py django django-allauth django-ckeditor django-cors-headers django-crispy-forms django-debug-toolbar
    django-environ django-filter django-htmx django-import-export django-redis django-storages django-taggit django-widget-tweaks
    djangorestframework djangorestframework-simplejwt dramatiq duckdb elasticsearch email-validator eventlet falcon fastapi
    fastapi-pagination fastapi-users fastlite feedparser filelock flask flask-admin flask-appbuilder flask-assets flask-babel
    flask-bcrypt flask-bootstrap flask-caching flask-cors flask-debugtoolbar flask-htmx flask-httpauth flask-jwt-extended flask-limiter
    flask-login flask-mail flask-marshmallow flask-migrate flask-moment flask-mysqldb flask-pymongo flask-restful flask-restx
    flask-security-too flask-session flask-smorest flask-sock flask-socketio flask-sqlalchemy flask-wtf folium fsspec geopandas gevent
    google-api-python-client google-auth google-cloud-storage gradio graphene graphene-django graphene-sqlalchemy greenlet groq grpcio
    gunicorn h5py holoviews httptools httpx huey hypercorn idna itsdangerous jinja2 joblib jsonschema kombu kubernetes langchain
    langchain-community langchain-core langchain-openai lightgbm litestar loguru lxml marimo markdown markupsafe marshmallow matplotlib
    mcp minio mlflow mongoengine monsterui motor msgpack mypy mysql-connector-python mysqlclient nicegui nltk numpy oauthlib onnxruntime
    openai opencv-python openpyxl opentelemetry-sdk orjson packaging pandas panel paramiko passlib peewee pendulum piccolo pika pillow
    playwright plotly polars prometheus-client prompt-toolkit protobuf psutil psycopg psycopg2-binary pyarrow pydantic pydantic-settings
    pygments pyjwt pymongo pymysql pytelegrambotapi pytest python-dateutil python-decouple python-dotenv python-fasthtml python-jose
    python-multipart python-socketio python-telegram-bot pytz pywebio pyyaml qdrant-client quart redis regex reportlab requests rich rq
    s3fs sanic scikit-image scikit-learn scipy scrapy seaborn selenium sentence-transformers sentry-sdk setuptools shapely shiny
    simplejson six slowapi solara sqlalchemy sqlalchemy-utils sqlmodel sse-starlette starlette statsmodels strawberry-graphql streamlit
    structlog sympy tabulate tenacity tensorflow textual tiktoken tokenizers toml torch torchvision tornado tortoise-orm tqdm
    transformers typer typing-extensions tzdata urllib3 uvicorn uvloop wagtail waitress watchfiles websockets werkzeug whitenoise
    wtforms xgboost xlrd xlsxwriter xmltodict yfinance zstandard
    """.split()  # noqa: SIM905 - a list of one name a line would be ten times as long
)
"""Packages that many projects require: one of them may be meant by a name that the index does not have."""


def requirement_of_module(module: str) -> str | None:
    """Return the requirement that brings a dotted module which is in no package of its name, as far as this is known."""
    parts = module.split(".")
    return next((found for end in range(len(parts), 0, -1) if (found := PACKAGE_OF_MODULE.get(".".join(parts[:end])))), None)


def shown_requirement(module: str) -> str:
    """Return the requirement that brings a dotted module, as a shell takes it: a package of another name, or a common one of its own.

    Return an empty text for any other.
    """
    top = normalized(module.partition(".")[0])
    found = requirement_of_module(module) or (top if top in COMMON_PACKAGES else "")
    return f'"{found}"' if "<" in found else found


def package_of_module(module: str) -> str:
    """Return the package that brings a dotted module: a known one, or the one of its name."""
    return (requirement_of_module(module) or module.partition(".")[0]).partition("<")[0]


def extends_django(requirement: str) -> bool:
    """Return whether a package is of no use without Django: in another program, its module's name is that of another package."""
    return requirement.startswith("django-")
