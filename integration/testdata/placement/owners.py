"""Asks libmemcached and pymemcache who owns keys.

Standard input is JSON: a list of {"libmemcached": string, "keys": [base64, …]}
or {"pymemcache": [node, …], "bytes": bool, "keys": …}. Standard output is the list
of the owners' addresses, a list for each.
"""

import base64
import ctypes
import json
import sys

from pymemcache.client.rendezvous import RendezvousHash

lib = ctypes.CDLL("libmemcached.so.11")
lib.memcached.restype = ctypes.c_void_p
lib.memcached.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
lib.memcached_free.argtypes = [ctypes.c_void_p]
lib.memcached_generate_hash.restype = ctypes.c_uint32
lib.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.memcached_server_instance_by_position.restype = ctypes.c_void_p
lib.memcached_server_instance_by_position.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.memcached_server_name.restype = ctypes.c_char_p
lib.memcached_server_name.argtypes = [ctypes.c_void_p]
lib.memcached_server_port.restype = ctypes.c_uint16
lib.memcached_server_port.argtypes = [ctypes.c_void_p]


def libmemcached(string, keys):
    client = lib.memcached(string.encode(), len(string))
    if not client:
        raise SystemExit("libmemcached refuses " + string)
    owners = []
    for key in keys:
        server = lib.memcached_server_instance_by_position(client, lib.memcached_generate_hash(client, key, len(key)))
        name = lib.memcached_server_name(server).decode()
        owners.append(name if name.startswith("/") else "%s:%d" % (name, lib.memcached_server_port(server)))
    lib.memcached_free(client)
    return owners


def pymemcache(nodes, as_bytes, keys):
    ring = RendezvousHash(nodes)
    return [ring.get_node(key if as_bytes else key.decode()) for key in keys]


answers = []
for case in json.load(sys.stdin):
    keys = [base64.b64decode(key) for key in case["keys"]]
    if "libmemcached" in case:
        answers.append(libmemcached(case["libmemcached"], keys))
    else:
        answers.append(pymemcache(case["pymemcache"], case["bytes"], keys))
json.dump(answers, sys.stdout)
