"""Django's cache by both of its memcached backends. Usage: django_client.py ADDRESS [proxy]"""

import sys

import django
from django.conf import settings
from django.core.cache import caches

address = sys.argv[1]
location = "unix:" + address if address.startswith("/") else address
backends = ("PyMemcacheCache", "PyLibMCCache")
settings.configure(
    CACHES={
        name: {
            "BACKEND": "django.core.cache.backends.memcached." + name,
            # pylibmc takes a path, pymemcache wants to be told that it is one
            "LOCATION": address if name == "PyLibMCCache" else location,
            "KEY_PREFIX": name,
        }
        for name in backends
    }
    | {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
)
django.setup()

for name in backends:
    cache = caches[name]
    cache.clear()
    cache.set("a", {"x": [1, 2, 3]}, 100)
    assert cache.get("a") == {"x": [1, 2, 3]}, name
    assert cache.get("nothing", "default") == "default"
    assert cache.add("a", 1) is False and cache.add("b", 1) is True
    assert cache.get_or_set("c", lambda: 7) == 7 and cache.get("c") == 7
    cache.set_many({"m%d" % i: i for i in range(200)}, 100)
    assert cache.get_many(["m%d" % i for i in range(200)] + ["no"]) == {"m%d" % i: i for i in range(200)}
    cache.delete_many(["m1", "m2"])
    assert cache.get("m1") is None and cache.get("m3") == 3
    assert cache.incr("b", 10) == 11 and cache.decr("b", 1) == 10
    try:
        cache.incr("nothing")
    except ValueError:
        pass
    else:
        raise AssertionError("incremented nothing")
    assert cache.touch("a", 200) is True and cache.touch("nothing", 200) is False
    assert "a" in cache and "nothing" not in cache
    assert cache.delete("a") is True and cache.delete("a") is False
    cache.set("v", 1, version=2)
    assert cache.get("v") is None and cache.get("v", version=2) == 1
    assert cache.incr_version("v", version=2) == 3 and cache.get("v", version=3) == 1
    cache.set("gone", 1, timeout=0)
    assert cache.get("gone") is None
    cache.set("forever", 1, timeout=None)
    assert cache.get("forever") == 1
    # A value that cannot be stored must not leave an older one to be read.
    cache.set("large", "small")
    try:
        cache.set("large", b"x" * 2_000_000)
    except Exception:
        pass  # one backend says so, the other does not
    assert cache.get("large") is None, name
    cache.clear()
    assert cache.get("forever") is None
    cache.close()
