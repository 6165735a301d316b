"""Everything pylibmc can ask of a server by text. Usage: pylibmc_client.py ADDRESS [proxy]"""

import sys

import pylibmc

address = sys.argv[1]
proxy = "proxy" in sys.argv[2:]  # it has no items of its own
behaviors = {"cas": True, "tcp_nodelay": True, "receive_timeout": 20_000_000, "send_timeout": 20_000_000}
c = pylibmc.Client([address], binary=False, behaviors=behaviors)


def refuses(error, call, *args):
    try:
        call(*args)
    except error:
        return
    raise AssertionError("%r%r did not raise %s" % (call, args, error))


assert c.flush_all()
assert c.set("a", "text") and c.get("a") == "text"
assert c.set("a", b"bytes") and c.get("a") == b"bytes"
assert c.set("a", 42) and c.get("a") == 42
assert c.set("a", {"x": [1, 2]}) and c.get("a") == {"x": [1, 2]}
assert c.get("nothing") is None
assert c.get("nothing", 7) == 7
assert not c.add("a", "1")
assert c.add("b", "1")
assert not c.replace("nothing", "1")
assert c.replace("b", "2")
assert c.append("b", "3") and c.prepend("b", "1") and c.get("b") == "123"
assert not c.append("nothing", "3")

assert c.set("n", 10)
assert c.incr("n") == 11 and c.incr("n", 9) == 20 and c.decr("n", 5) == 15 and c.decr("n") == 14
refuses(pylibmc.NotFound, c.incr, "nothing")
assert c.set("word", "word")
refuses(pylibmc.Error, c.incr, "word")

value, cas = c.gets("b")
assert value == "123"
assert c.cas("b", "4", cas)
assert not c.cas("b", "5", cas)
refuses(pylibmc.NotFound, c.cas, "nothing", "5", cas)

assert c.touch("b", 100) and not c.touch("nothing", 100)
assert c.set("gone", "x", time=-1) and c.get("gone") is None

values = {"k%d" % i: "v%d" % i for i in range(1000)}
assert c.set_multi(values) == []
assert c.get_multi(list(values) + ["nothing"]) == values
assert c.set_multi({"1": "a", "2": "b"}, key_prefix="p") == []
assert c.get_multi(["1", "2"], key_prefix="p") == {"1": "a", "2": "b"}
assert c.delete_multi(list(values))
assert c.get_multi(list(values)) == {}
assert c.delete("b") and not c.delete("b")

large = bytes(range(256)) * 4000
assert c.set("large", large) and c.get("large") == large
refuses(pylibmc.TooBig, c.set, "large", large * 2)
assert c.get("large") is None, "the old value must be gone"

(name, stats), = c.get_stats()
assert int(stats["cmd_set" if proxy else "curr_items"]) > 0, stats

quiet = pylibmc.Client([address], binary=False, behaviors=dict(behaviors, _noreply=True, cas=False))
for i in range(300):
    quiet.set("q%d" % i, b"x" * i)
    quiet.delete("nothing")
loud = c.clone()
while loud.get("q299") is None:  # no reply, so no promise when
    pass
assert loud.get("q17") == b"x" * 17
c.disconnect_all()
