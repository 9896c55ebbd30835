-- Run once by the PostgreSQL image when it makes its data: a database and a role for each service.
-- A role owns its database and can connect to no other. Passwords come from the container's environment.

REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;

\getenv password PORTAL_DB_PASSWORD
CREATE ROLE portal LOGIN PASSWORD :'password';
CREATE DATABASE portal OWNER portal;
REVOKE ALL ON DATABASE portal FROM PUBLIC;

\getenv password SURVEYS_DB_PASSWORD
CREATE ROLE surveys LOGIN PASSWORD :'password';
CREATE DATABASE surveys OWNER surveys;
REVOKE ALL ON DATABASE surveys FROM PUBLIC;

\getenv password NOTIFIER_DB_PASSWORD
CREATE ROLE notifier LOGIN PASSWORD :'password';
CREATE DATABASE notifier OWNER notifier;
REVOKE ALL ON DATABASE notifier FROM PUBLIC;

\getenv password REPORTS_DB_PASSWORD
CREATE ROLE reports LOGIN PASSWORD :'password';
CREATE DATABASE reports OWNER reports;
REVOKE ALL ON DATABASE reports FROM PUBLIC;

\getenv password DESK_DB_PASSWORD
CREATE ROLE desk LOGIN PASSWORD :'password';
CREATE DATABASE desk OWNER desk;
REVOKE ALL ON DATABASE desk FROM PUBLIC;
