"""Client of the CryptoCFD trading API: REST and WebSocket, sync and async; numbers are exact decimals."""

from cryptocfd_client.errors import ApiError, OutcomeUnknownError
from cryptocfd_client.requests import REMOVE
from cryptocfd_client.rest import AsyncClient, Client
from cryptocfd_client.signing import Ed25519Key, HmacKey, Token
from cryptocfd_client.stream import AccountEvent, AccountSnapshot, PriceUpdate, Stream

__all__ = [
    "REMOVE",
    "AccountEvent",
    "AccountSnapshot",
    "ApiError",
    "AsyncClient",
    "Client",
    "Ed25519Key",
    "HmacKey",
    "OutcomeUnknownError",
    "PriceUpdate",
    "Stream",
    "Token",
]
