"""Argon2 with the least work, for tests in which PINs are checked and not what it costs to guess them."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """The same algorithm and format; 8 KiB instead of 100 MiB."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1
