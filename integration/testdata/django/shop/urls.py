"""Log in, see who one is, fill a basket, log out."""

from django.contrib.auth import authenticate, login, logout
from django.http import HttpResponse
from django.urls import path


def log_in(request):
    user = authenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is None:
        return HttpResponse("wrong password", status=403)
    login(request, user)
    return HttpResponse("welcome")


def log_out(request):
    logout(request)
    return HttpResponse("goodbye")


def basket(request):
    request.session["basket"] = request.session.get("basket", []) + [request.POST["what"]]
    return HttpResponse("taken")


def home(request):
    who = request.user.get_username() or "nobody"
    return HttpResponse(who + ": " + ", ".join(request.session.get("basket", [])))


urlpatterns = [path("", home), path("login", log_in), path("logout", log_out), path("basket", basket)]
