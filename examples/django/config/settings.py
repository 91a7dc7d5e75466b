"""Django's settings: the database is a file, and Celery's settings begin with CELERY_."""

import os
from pathlib import Path

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6390")

SECRET_KEY = "only for this example"
USE_TZ = True
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).parents[1] / "shop.db",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},  # several processes write
    }
}

CELERY_BROKER_URL = f"{REDIS_URL}/0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_GROUPFIFO_LEASE_TTL = 30
