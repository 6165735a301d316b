"""A browser on the shop, in one process with it. Each line of standard input is
"path" or "path name=value…"; the answer is a line with what the page says. A page
that fails is loaded again, as its reader would."""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"

import django
from django.core.management import call_command
from django.test import Client

django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User

User.objects.create_user("alice", password="secret")
browser = Client()
for line in sys.stdin:
    where, *form = line.split()
    for attempt in range(3):
        try:
            page = browser.post(where, dict(f.split("=") for f in form)) if form else browser.get(where)
            break
        except Exception as e:  # of pymemcache or pylibmc: the connection is gone
            print("failed once:", repr(e), file=sys.stderr)
    else:
        sys.exit("it failed three times")
    print(page.content.decode(), flush=True)
