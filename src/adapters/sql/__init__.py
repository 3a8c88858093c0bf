"""Every storage port over SQLAlchemy: MySQL, MariaDB, PostgreSQL and SQLite."""
