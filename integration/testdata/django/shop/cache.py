"""Django's backend for pylibmc, for a server that comes back with its items.

libmemcached finds out that a connection has been closed only by the request that
it was to carry. Django's sessions take that error for "no such session" and the
user is logged out, although the session is there. So ask again, once.
"""

import pylibmc
from django.core.cache.backends import memcached


class PyLibMCCache(memcached.PyLibMCCache):
    def get(self, *args, **kwargs):
        try:
            return super().get(*args, **kwargs)
        except pylibmc.Error:
            self._cache.disconnect_all()
            return super().get(*args, **kwargs)
