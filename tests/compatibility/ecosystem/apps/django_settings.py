"""Settings of a Django project with the libraries that belong to Celery."""

from __future__ import annotations

import os
from pathlib import Path

from tests.compatibility.ecosystem.apps.base import DIRECTORY, URL

SECRET_KEY = "for tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django_celery_results", "django_celery_beat", "django_structlog"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ[DIRECTORY]) / "db.sqlite",
        "OPTIONS": {"timeout": 30},
    }
}
DJANGO_STRUCTLOG_CELERY_ENABLED = True

CELERY_BROKER_URL = os.environ[URL]
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_GROUPFIFO_LEASE_TTL = 5
