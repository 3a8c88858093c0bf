"""Settings: from the environment and `.env`, under plain names, all checked before anything starts."""
