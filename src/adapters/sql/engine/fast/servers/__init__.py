"""Database servers (MySQL, MariaDB, PostgreSQL): connections, statements that go together, commits that are shared."""
