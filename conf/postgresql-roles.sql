-- Two roles for standpipe, PostgreSQL 15 and later: an owner that makes and changes the tables (`standpipe migrate`), and
-- a writer that the daemon runs as and that can do nothing else. Run it in the database of standpipe as its owner or a
-- superuser, before the first `migrate` and once more after it; as often as you like, it changes nothing twice:
--
--   psql -d standpipe -f conf/postgresql-roles.sql
--   ALTER ROLE standpipe_owner PASSWORD '...'; ALTER ROLE standpipe_writer PASSWORD '...';
--   standpipe migrate --set postgres.url=postgresql://standpipe_owner:...@host/standpipe
--   standpipe run     --set postgres.url=postgresql://standpipe_writer:...@host/standpipe --set postgres.migrate=false
--
-- Another schema than public: psql -v schema=NAME (postgres.schema). A test runs standpipe under exactly these roles.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
\if :{?schema}
\else
\set schema public
\endif
BEGIN;

-- Neither can make databases or roles, pass over row security, or replicate.
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['standpipe_owner', 'standpipe_writer']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- What everybody may do otherwise: connect here, make temporary tables, and, where the database is older than
-- PostgreSQL 15, make tables in public.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO standpipe_owner, standpipe_writer', current_database()) \gexec
-- `rebuild`, run by the owner, sorts keys in a temporary table.
SELECT format('GRANT TEMPORARY ON DATABASE %I TO standpipe_owner', current_database()) \gexec
CREATE SCHEMA IF NOT EXISTS :"schema";
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA :"schema" TO standpipe_owner;
GRANT USAGE ON SCHEMA :"schema" TO standpipe_writer;

-- Rows, and nothing of the tables themselves: also of those that a later `migrate` makes.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO standpipe_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE standpipe_owner IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO standpipe_writer;

-- What `migrate` remembers is read only; it is there from the first `migrate` on, hence once more after it.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %I.%I FROM standpipe_writer', schemaname, tablename) FROM pg_tables
WHERE schemaname = :'schema' AND tablename IN ('standpipe_migrations', 'standpipe_tables') \gexec
COMMIT;
