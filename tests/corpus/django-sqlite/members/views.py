from django.shortcuts import render

from members.models import Member


def index(request):
    return render(request, "members.html", {"count": Member.objects.count()})
