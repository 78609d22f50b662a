"""One page: what is switched on, and which worker says so."""

import os

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

from etcd_settings.integrations.django import current


def flags(_: HttpRequest) -> JsonResponse:
    live = current()  # one state of all live settings, for those that belong together
    return JsonResponse(
        {
            "checkout": settings.FEATURE_CHECKOUT,
            "banner": live.values["FEATURE_BANNER"],
            "page_size": settings.PAGE_SIZE,
            "revision": live.revision,
            "worker": os.getpid(),
        }
    )


urlpatterns = [path("", flags)]
