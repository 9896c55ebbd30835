"""Databases as they are deployed: owned by a role that is no superuser, so that row-level security binds it."""

from urllib.parse import urlsplit, urlunsplit

from deploy.postgres.embedded import PostgresServer

ROLE = "reports_as_deployed"


class OwnDatabase(PostgresServer):
    """A server on which databases belong to a role that is no superuser."""

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make the database as init.sql does."""
        super().create_database(name, template)
        for statement in (
            f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'; EXCEPTION WHEN duplicate_object THEN END $$",
            f"ALTER DATABASE {name} OWNER TO {ROLE}",
        ):
            self._sql(statement)
        server = urlsplit(self.url(name))
        return urlunsplit(server._replace(netloc=f"{ROLE}:{ROLE}@{server.hostname}:{server.port}"))
