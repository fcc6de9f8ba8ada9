"""Who may do what in a database of many firms: its roles, and whose rows each of them sees.

No role passes over the policies of rows, for only a superuser could make one that does, and
whoever rents a server is none. So each role has a policy of its own, the owner's included: without
one, a statement of his would change no row, and say nothing of it.
"""

from collections.abc import Iterator
from typing import Final

from clio_broadly_sync.store import tables
from clio_broadly_sync.store.postgresql import OWNER, READER, WORKER

_OF_FIRM: Final = "firm = nullif(current_setting('fleet.firm', true), '')::bigint"
_SHOWN: Final = (
    "firm, name, settings, account, state, state_at, period, next_at, added_at, failures, "
    "failing_since, last_exit, last_said, started_at, ended_at, good_at, worker"
)
"""What the reader sees of a firm: nothing that is sealed."""


def roles() -> Iterator[str]:
    """Yield the statements that make the roles, and let the login role of the session be each.

    Roles are the server's and not the database's, so another database may be making them as well.
    """
    for role in (OWNER, WORKER, READER):
        yield f"""
            DO $$ BEGIN
                IF to_regrole('{role}') IS NULL THEN
                    CREATE ROLE {role} NOLOGIN;
                END IF;
                IF NOT pg_has_role(session_user, '{role}', 'MEMBER') THEN
                    EXECUTE format('GRANT {role} TO %I', session_user);
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$
        """
    yield f"""
        DO $$ BEGIN
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO {OWNER}', current_schema());
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO {WORKER}, {READER}', current_schema());
            EXECUTE format('GRANT CREATE ON DATABASE %I TO {OWNER}', current_database());
            EXECUTE format(
                'GRANT TEMPORARY ON DATABASE %I TO {OWNER}, {WORKER}', current_database()
            );
        END $$
    """


def rights() -> Iterator[str]:
    """Yield the statements that let each role do what is its own; its tables are the owner's."""
    yield f"GRANT SELECT ON schema_version, fleet TO {WORKER}, {READER}"
    yield f"GRANT SELECT, INSERT, UPDATE ON firms TO {WORKER}"
    yield f"GRANT UPDATE ON fleet TO {WORKER}"
    yield f"GRANT SELECT ({_SHOWN}) ON firms TO {READER}"
    for table in tables.OF_FIRM:
        yield from _of_firms(table)


def _of_firms(table: str) -> Iterator[str]:
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {WORKER}"
    yield f"GRANT SELECT ON {table} TO {READER}"
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    own = f"USING ({_OF_FIRM}) WITH CHECK ({_OF_FIRM})"
    yield f"CREATE POLICY one_firm ON {table} TO {WORKER} {own}"
    yield f"CREATE POLICY all_firms_read ON {table} FOR SELECT TO {READER} USING (true)"
    yield f"CREATE POLICY all_firms ON {table} TO {OWNER} USING (true) WITH CHECK (true)"
