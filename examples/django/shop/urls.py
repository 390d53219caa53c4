import platform

import MySQLdb
import shop_checksum
from django.shortcuts import render
from django.urls import path


def index(request):
    facts = {
        "machine": platform.machine(),
        "client": MySQLdb.get_client_info(),
        "checksum": shop_checksum.luhn("4111111111111111"),
    }
    return render(request, "shop/index.html", facts)


urlpatterns = [path("", index)]
