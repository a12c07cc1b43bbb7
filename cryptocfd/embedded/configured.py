"""The embedded servers of this installation, as its settings ask for them."""

from django.conf import settings

from cryptocfd.embedded.servers import EmbeddedServers


def servers_configured() -> EmbeddedServers:
    """Return those servers that no address replaces; nothing is started yet."""
    environment = settings.ENVIRONMENT
    return EmbeddedServers(
        settings.DATA_DIR,
        postgres=environment.postgres_is_embedded,
        log=environment.log_is_embedded,
        rest=environment.rest_is_embedded,
        log_fsync=settings.LOG_FSYNC,
    )
