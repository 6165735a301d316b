"""A small Django project whose sessions are in the cache and nowhere else."""
