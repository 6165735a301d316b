"""Everything pymemcache can ask of a server. Usage: pymemcache_client.py ADDRESS [proxy]"""

import sys

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

address = sys.argv[1]
proxy = "proxy" in sys.argv[2:]  # it has no items of its own
if not address.startswith("/"):
    host, port = address.rsplit(":", 1)
    address = (host, int(port))


def storage(c):
    assert c.set("a", b"1", noreply=False) is True
    assert c.get("a") == b"1"
    assert c.get("nothing") is None
    assert c.get("nothing", default=b"x") == b"x"
    assert c.add("a", b"2", noreply=False) is False
    assert c.add("b", b"2", noreply=False) is True
    assert c.replace("c", b"2", noreply=False) is False
    assert c.replace("a", b"3", noreply=False) is True
    assert c.append("a", b"4", noreply=False) is True
    assert c.prepend("a", b"2", noreply=False) is True
    assert c.get("a") == b"234"
    assert c.append("nothing", b"4", noreply=False) is False
    value, cas = c.gets("a")
    assert value == b"234"
    assert c.cas("a", b"5", cas, noreply=False) is True
    assert c.cas("a", b"6", cas, noreply=False) is False
    assert c.cas("nothing", b"6", cas, noreply=False) is None
    assert c.gets("nothing") == (None, None)
    assert c.delete("a", noreply=False) is True
    assert c.delete("a", noreply=False) is False


def silent(c):
    """By default pymemcache asks for no reply: one too many shifts all others."""
    for i in range(100):
        c.set("n%d" % i, b"x" * i)
        c.delete("n%d" % i)
        c.add("n%d" % i, b"y")
        c.add("n%d" % i, b"z")
        c.replace("m%d" % i, b"z")
        c.append("n%d" % i, b"!")
        c.prepend("n%d" % i, b"!")
        c.incr("nothing", 1, noreply=True)
        c.touch("nothing", 1)
    c.set("large", b"x" * 2_000_000)
    assert c.get("n42") == b"!y!"
    assert c.get("large") is None


def many(c):
    values = {"k%d" % i: b"v%d" % i for i in range(500)}
    assert c.set_many(values, noreply=False) == []
    assert c.get_many(list(values) + ["nothing"]) == values
    got = c.gets_many(["k1", "k2", "nothing"])
    assert {k: v[0] for k, v in got.items()} == {"k1": b"v1", "k2": b"v2"}
    assert c.delete_many(list(values), noreply=False) is True
    assert c.get_many(list(values)) == {}


def numbers(c):
    c.set("n", b"10", noreply=False)
    assert c.incr("n", 5) == 15
    assert c.decr("n", 1) == 14
    assert c.decr("n", 100) == 0
    assert c.incr("nothing", 1) is None
    c.set("n", b"abc", noreply=False)
    try:
        c.incr("n", 1)
    except MemcacheClientError as e:
        assert b"non-numeric" in e.args[0], e
    else:
        raise AssertionError("incremented abc")


def times(c):
    c.set("a", b"1", expire=100, noreply=False)
    assert c.touch("a", 200, noreply=False) is True
    assert c.touch("nothing", 200, noreply=False) is False
    c.set("a", b"1", expire=-1, noreply=False)
    assert c.get("a") is None


def large(c):
    value = bytes(range(256)) * 4000
    assert c.set("large", value, noreply=False) is True
    assert c.get("large") == value
    try:
        c.set("large", value * 2, noreply=False)
    except MemcacheServerError as e:
        assert b"too large" in e.args[0], e
    else:
        raise AssertionError("stored two megabytes")
    assert c.get("large") is None


def admin(c):
    assert c.version().startswith(b"1.6."), c.version()
    stats = c.stats()
    assert stats[b"cmd_get"] > 0, stats
    if not proxy:
        assert stats[b"curr_items"] > 0, stats
        assert c.stats("settings")[b"item_size_max"] == 1048576
        c.stats("items")
        c.stats("slabs")
        assert c.cache_memlimit(64) is True
    assert c.flush_all(noreply=False) is True
    assert c.get("b") is None
    c.flush_all(delay=0)
    assert c.raw_command(b"mn", b"\r\n") == b"MN"


for make in (Client, PooledClient):
    client = make(address, timeout=20, connect_timeout=20)
    client.flush_all(noreply=False)
    for test in (storage, silent, many, numbers, times, large):
        test(client)
    if make is Client:
        admin(client)
    client.quit()

client = HashClient([address], timeout=20, connect_timeout=20, use_pooling=True)
for test in (silent, many, numbers):
    test(client)
client.close()
