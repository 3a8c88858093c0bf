"""Identity in a database: accounts, sessions, credentials, the audit trail."""
