"""How a REST request proves who sends it: an access token, else (DRF's own class) a session."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from typing_extensions import override

from apps.auth.services.identities import AuthenticatedUser, user_by_token
from apps.auth.services.signatures import KEY_HEADER, KeyUser, SignedRequest, request_check
from apps.auth.views.edge import client_ip
from apps.common.key_access import Scope


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; `request.user` is then an AuthenticatedUser."""

    @override
    def authenticate(self, request: Request) -> tuple[AuthenticatedUser, str] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Bytes outside of ASCII are in no token; latin-1 reads any byte without an error.
        user = user_by_token(token.decode("latin-1").strip())
        if user is None:
            raise AuthenticationFailed(
                "the access token is wrong or has ended: sign in again", code="not_authenticated"
            )
        return user, user.session_digest

    @override
    def authenticate_header(self, request: Request) -> str:
        # With this header the answer is 401; without it DRF would say 403.
        return 'Bearer realm="api"'


class SignatureAuthentication(BaseAuthentication):
    """A request that is signed by an API key; `request.user` is then a KeyUser."""

    @override
    def authenticate(self, request: Request) -> tuple[KeyUser, str] | None:
        if KEY_HEADER not in request.headers:
            return None
        plain = request._request  # noqa: SLF001 - DRF's only way to the body as it was sent.
        query = plain.META.get("QUERY_STRING", "")
        path = _path_as_sent(plain)
        user = request_check(
            request=SignedRequest(
                method=str(plain.method),
                path=f"{path}?{query}" if query else path,
                body=plain.body,
                headers=plain.headers,
                ip=client_ip(plain),
            )
        )
        return user, user.key_id

    @override
    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def _path_as_sent(request: HttpRequest) -> str:
    # Django's own is decoded, and somebody has signed %3A where it says a colon.
    raw: bytes | None = getattr(request, "scope", {}).get("raw_path")
    return request.path if raw is None else raw.decode("latin-1")


class SignatureAuthenticationScheme(OpenApiAuthenticationExtension):
    """Describes the signature in the OpenAPI page."""

    target_class = "apps.auth.views.authentication.SignatureAuthentication"
    name = "signature"

    @override
    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": KEY_HEADER,
            "description": "Beside X-Timestamp, X-Nonce and X-Signature, see docs/API-KEYS.md; the scope that the key needs.",
        }

    @override
    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        # Nothing where no key is taken at all.
        scopes: dict[str, Scope] = getattr(auto_schema.view, "key_scopes", {})
        scope = scopes.get(auto_schema.method)
        return [] if scope is None else [{self.name: [scope]}]


class BearerAuthenticationScheme(OpenApiAuthenticationExtension):
    """Describes the access token in the OpenAPI page."""

    target_class = "apps.auth.views.authentication.BearerAuthentication"
    name = "accessToken"

    @override
    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
