"""What the site can be told; etcd has the last word."""

import os

from etcd_settings.integrations.django import load_settings

DEBUG = False
SECRET_KEY = ""  # comes from etcd
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "storefront.urls"
WSGI_APPLICATION = "storefront.wsgi.application"
INSTALLED_APPS = ["etcd_settings.integrations.django"]

PAGE_SIZE = 20
FEATURE_CHECKOUT = False
FEATURE_BANNER = {"text": "", "percent": 100}

ETCD_SETTINGS = {
    "URL": os.environ.get("STOREFRONT_ETCD_URL", "etcd://localhost/config/storefront/"),
    "LIVE": ["FEATURE_*"],
}

load_settings(globals())
