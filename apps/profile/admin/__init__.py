"""Trading accounts, identity files and cash in the admin; Django finds them by this package's import."""

from apps.profile.admin import accounts, cash, kyc

__all__ = ["accounts", "cash", "kyc"]
