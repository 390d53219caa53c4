SECRET_KEY = "django-insecure-5x$e0o8a1m6n#h^3v2q9w7r4t"
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = ["django.contrib.staticfiles"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "first.urls"
WSGI_APPLICATION = "first.wsgi.application"
STATIC_URL = "static/"
