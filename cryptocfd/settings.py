"""Django's settings: everything that differs between machines comes from the environment (cryptocfd/env.py).

Settings of one app stand in that app's block. Nothing is started or connected here.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.utils.crypto import salted_hmac

from cryptocfd.back_office import COLOURS, navigation
from cryptocfd.env import BASE_DIR, environment_load

ENVIRONMENT = environment_load()

# --- what other modules read by these names -------------------------------------------------------------------------

DATA_DIR = ENVIRONMENT.data_dir
DATABASE_URL = ENVIRONMENT.database_url
LOG_REDIS_URL = ENVIRONMENT.log_redis_url
REDIS_URL = ENVIRONMENT.redis_url
HOST = ENVIRONMENT.host
PORT = ENVIRONMENT.port
PUBLIC_URL = ENVIRONMENT.public_url
ENGINE_MODE = ENVIRONMENT.engine_mode
ENGINE_SHARDS = ENVIRONMENT.engine_shards
STREAM_PREFIX = ENVIRONMENT.stream_prefix
FEEDS = ENVIRONMENT.feeds
FEED_BATCH_MS = ENVIRONMENT.feed_batch_ms
SIMULATED_HISTORY = ENVIRONMENT.simulated_history
SNAPSHOT_SECONDS = ENVIRONMENT.snapshot_seconds
LOG_FSYNC = ENVIRONMENT.log_fsync
ORDER_TIMEOUT_MS = ENVIRONMENT.order_timeout_ms
SOCKET_MESSAGES_PER_SECOND = ENVIRONMENT.socket_messages_per_second
SOCKETS_PER_USER = ENVIRONMENT.sockets_per_user
SEED_DEMO = ENVIRONMENT.seed_demo
DEMO_BALANCE = ENVIRONMENT.demo_balance
SNAPSHOT_KEYS = ENVIRONMENT.snapshot_keys
ASGI_SERVER = ENVIRONMENT.asgi_server

# --- Django -----------------------------------------------------------------------------------------------------------

SECRET_KEY = ENVIRONMENT.secret_key
SECRET_KEY_FALLBACKS = ENVIRONMENT.secret_key_fallbacks
DEBUG = ENVIRONMENT.debug

_public = urlsplit(PUBLIC_URL)
# Cookies and redirects follow the address that people use: HTTPS there means HTTPS everywhere.
_is_https = _public.scheme == "https"
ALLOWED_HOSTS = sorted(
    {"localhost", "127.0.0.1", "[::1]", _public.hostname or "localhost", *ENVIRONMENT.allowed_hosts}
    | ({HOST} - {"0.0.0.0", "::"})  # noqa: S104 - these mean "every address" and name no host.
)

ROOT_URLCONF = "cryptocfd.urls"
ASGI_APPLICATION = "cryptocfd.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

INSTALLED_APPS = [
    # Daphne replaces `runserver` by one that speaks WebSocket; importing it costs 0.3 s, so only who asks for it pays.
    *(["daphne"] if DEBUG or ASGI_SERVER == "daphne" else []),
    # Without Unfold's own site, since ours stands in admin_site.py.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "cryptocfd.admin_site.PlatformAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Of the times in allauth's list of passkeys.
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "django_rq",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
    "allauth.headless",
    "allauth.mfa",
    "apps.common",
    "apps.notifications",
    "apps.auth",
    "apps.market",
    "apps.profile",
    "apps.trade",
    "cryptocfd",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "cryptocfd.page_policy.PagePolicyMiddleware",
    # ETags: who has an answer already is told so instead of being sent it again.
    "django.middleware.http.ConditionalGetMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.auth.views.idle.IdleMiddleware",
    "apps.auth.views.viewing.ViewingMiddleware",
    "cryptocfd.languages.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "apps.auth.views.viewing.viewing_context",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
# The account pages and messages are in a person's language, all else in English (cryptocfd/languages.py).
USE_I18N = True
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]

# --- storage ----------------------------------------------------------------------------------------------------------

_database: dict[str, Any] = {
    **environ.Env.db_url_config(DATABASE_URL),
    # Django's own for PostgreSQL, with a limit for the statements of requests.
    "ENGINE": "cryptocfd.database",
    # Long-lived threads must not inherit each other's connections; reuse is the pool's work.
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
}
# libpq's way to name a socket's folder, `?host=/folder`, as `dbshell` looks for it.
_database["HOST"] = _database.get("OPTIONS", {}).pop("host", "") or _database["HOST"]
# A server that vanished without a word is noticed within a minute, also by threads that wait for an answer or for nothing; by the
# system's own defaults it takes two hours. Sockets of one machine need none of it and ignore it. What DATABASE_URL says goes before.
_database["OPTIONS"] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    **_database.get("OPTIONS", {}),
}
if ENVIRONMENT.database_pool:
    _database["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 48, "timeout": 5}
DATABASES = {"default": _database}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": f"{STREAM_PREFIX}cache",
    },
}

# --- background work and sockets --------------------------------------------------------------------------------------

RQ_QUEUES = {
    "default": {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": 300,
        # rq's own default is pickle: whoever can write to that Valkey would run code here.
        "SERIALIZER": "rq.serializers.JSONSerializer",
    },
}
RQ = {"COMMIT_MODE": "on_db_commit"}

CHANNEL_LAYERS = {
    "default": {
        # Only closes the sockets of a user; prices and account events never pass through it.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL}], "prefix": f"{STREAM_PREFIX}channels"},
    },
}

# --- static files -----------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from where they lie, so that a fresh checkout needs no collectstatic and no STATIC_ROOT.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- security ---------------------------------------------------------------------------------------------------------

SESSION_COOKIE_NAME = "__Host-session" if _is_https else "session"
CSRF_COOKIE_NAME = "__Host-csrftoken" if _is_https else "csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
# A browser that sends nothing and holds no socket for this long is signed out.
SESSION_IDLE_SECONDS = ENVIRONMENT.session_idle_minutes * 60
CSRF_TRUSTED_ORIGINS = sorted({PUBLIC_URL, f"http://localhost:{PORT}", f"http://127.0.0.1:{PORT}"})
SECURE_SSL_REDIRECT = _is_https
# Load balancers ask behind the proxy that speaks HTTPS.
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _is_https
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
# Nothing that somebody uploads waits in a temporary file; the server takes no larger body.
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]

# Where browsers tell what a page must not do.
CSP_REPORT_PATH = "/csp-report"
_socket_origin = f"{'wss' if _is_https else 'ws'}://{_public.netloc}"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, _socket_origin],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "report-uri": [CSP_REPORT_PATH],
    },
}

# --- accounts and mail ------------------------------------------------------------------------------------------------

# Nobody has a password: the backend only finds the user of a session again.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/trade/BTCUSDT"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "apps.auth.services.adapter.AccountAdapter"
MFA_ADAPTER = "apps.auth.services.factors.FactorAdapter"
# The same, and what was wrong is in the audit log.
MFA_FORMS = {
    "authenticate": "apps.auth.views.factor_forms.CodeForm",
    "authenticate_webauthn": "apps.auth.views.factor_forms.PasskeyForm",
    "reauthenticate": "apps.auth.views.factor_forms.CodeAgainForm",
    "reauthenticate_webauthn": "apps.auth.views.factor_forms.PasskeyAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "CryptoCFD"
# Browsers speak WebAuthn over HTTPS or with this very machine only; so does the server.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _is_https
# Whether the admin and the REST routes of staff ask for a second factor, and whether browsers need one for money and keys.
STAFF_SECOND_FACTOR = ENVIRONMENT.staff_second_factor
MONEY_SECOND_FACTOR = ENVIRONMENT.money_second_factor
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
# A used link has proved the address already.
ACCOUNT_EMAIL_VERIFICATION = "none"
HEADLESS_TOKEN_STRATEGY = "apps.auth.services.tokens.AccessTokenStrategy"  # noqa: S105 - a class, no secret.
HEADLESS_JWT_ALGORITHM = "HS256"
# A key of its own, so that no other signature of this site can pass for a token.
HEADLESS_JWT_PRIVATE_KEY = salted_hmac(
    "cryptocfd.access-token", "HS256", secret=SECRET_KEY, algorithm="sha256"
).hexdigest()
HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = True
# Every request checks the session behind it too: signing out ends the token within two seconds.
HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN = 600
# A device signs in again after the first, and earlier if it is silent for the second.
DEVICE_SESSION_SECONDS = 90 * 24 * 3600
REFRESH_TOKEN_SECONDS = 30 * 24 * 3600
REFRESH_TOKEN_KEY = salted_hmac(
    "cryptocfd.refresh-token", "HS256", secret=SECRET_KEY, algorithm="sha256"
).hexdigest()
# Not made of SECRET_KEY, whose rotation must not make every PIN wrong.
PIN_PEPPER = ENVIRONMENT.pin_pepper
# Key ring of the secrets of API keys, comma separated; the first one encrypts.
API_KEY_KEYS = ENVIRONMENT.api_key_keys
# Life of a sign-in link and its code, seconds.
LOGIN_LINK_SECONDS = 600
# Binds a link to the browser that asked for it.
LOGIN_NONCE_COOKIE_NAME = "__Host-login" if _is_https else "login"
# Mails per address and requests per IP address: any number of limits, each <count>/<s|m|h|d>.
LOGIN_LIMITS_PER_ADDRESS = ENVIRONMENT.login_limits_per_address
LOGIN_LIMITS_PER_IP = ENVIRONMENT.login_limits_per_ip
SESSION_TOKEN_LIMITS = ENVIRONMENT.session_token_limits
REFRESH_LIMITS_PER_IP = ENVIRONMENT.refresh_limits_per_ip
GUEST_LIMITS_PER_IP = ENVIRONMENT.guest_limits_per_ip
API_LIMITS_WRITE = ENVIRONMENT.api_limits_write
API_LIMITS_READ = ENVIRONMENT.api_limits_read
API_LIMITS_PUBLIC = ENVIRONMENT.api_limits_public
SERVICE_KEYS = ENVIRONMENT.service_keys
DEFAULT_FROM_EMAIL = ENVIRONMENT.email_from
EMAIL_FILE_PATH = DATA_DIR / "mail"
EMAIL_TIMEOUT = 20
if ENVIRONMENT.email_url.startswith("anymail://"):
    # anymail://<service>?<SETTING>=<value>&...: a mail service by its HTTP interface.
    _service = urlsplit(ENVIRONMENT.email_url)
    EMAIL_BACKEND = f"anymail.backends.{_service.hostname}.EmailBackend"
    ANYMAIL = {
        f"{(_service.hostname or '').upper()}_{name}": value
        for name, value in parse_qsl(_service.query)
    }
elif ENVIRONMENT.email_url:
    globals().update(environ.Env.email_url_config(ENVIRONMENT.email_url))
else:
    EMAIL_BACKEND = "apps.notifications.services.message_files.MailFiles"
# Any backend of django-sms, by its dotted name; the default writes files.
SMS_BACKEND = ENVIRONMENT.sms_backend or "apps.notifications.services.message_files.SmsFiles"
SMS_FILE_PATH = DATA_DIR / "sms"
DEFAULT_FROM_SMS = "CryptoCFD"

# Ways to pay (apps/profile/services/payments.py), and the account that bank transfers go to.
PAYMENT_PROVIDERS = ENVIRONMENT.payment_providers
PAYMENT_BANK_ACCOUNT = ENVIRONMENT.payment_bank_account

UNFOLD = {
    "SITE_TITLE": "CryptoCFD",
    "SITE_HEADER": "CryptoCFD",
    "SITE_SUBHEADER": "Back office",
    "SITE_URL": LOGIN_REDIRECT_URL,
    "SITE_ICON": "/static/img/logo.svg",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/img/logo.svg"}],
    "SHOW_HISTORY": True,
    "STYLES": ["/static/css/admin.css"],
    "SCRIPTS": ["/static/js/accessible.js"],
    "COLORS": COLOURS,
    "DASHBOARD_CALLBACK": "cryptocfd.office.waiting.front_page",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": True,
        "navigation": navigation(),
    },
}

# --- REST -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # First, so that a request without any proof is told 401 and which scheme to use.
        "apps.auth.views.authentication.BearerAuthentication",
        "apps.auth.views.authentication.SignatureAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "apps.common.key_access.KeyMay",
    ],
    # Numbers keep their exact digits in both directions.
    "DEFAULT_RENDERER_CLASSES": [
        "apps.common.exact_json.ExactJSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "apps.common.exact_json.ExactJSONParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["apps.common.throttles.ApiThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "cryptocfd.exception_handler.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "CryptoCFD",
    "DESCRIPTION": "Leveraged trading on crypto prices: accounts, orders, prices and candles.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cryptocfd.openapi.completion.complete",
    ],
    # Ours have no labels: the list of values would stand there twice.
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Names for choices that several fields share under one name.
    "ENUM_NAME_OVERRIDES": {
        "OrderStateEnum": "apps.trade.choices.OrderState",
        "PlacedStateEnum": ["filled", "pending"],
        "RequestStateEnum": ["pending", "accepted", "rejected"],
        "CashStateEnum": "apps.profile.choices.CashState",
        "KycStateEnum": "apps.profile.choices.KycState",
        "AccountKindEnum": ["demo", "live"],
        "CashKindEnum": "engine.values.CashKind",
        "CashRequestKindEnum": ["deposit", "withdrawal"],
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- logs -------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "cryptocfd.logs.formatter", "style": ENVIRONMENT.log_format}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level},
    "loggers": {
        # Request lines would carry the tokens that stand in addresses; proxies keep access logs.
        "uvicorn.access": {"handlers": [], "propagate": False, "level": "CRITICAL"},
        "uvicorn": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        # Every mistyped address would be a warning.
        "django.request": {"level": "ERROR"},
        "rq.worker": {"level": "WARNING"},
        "django.server": {"level": "INFO"},
    },
}
