"""The warehouse: its schema (migrations), its loads and its ledger, in plain PostgreSQL."""
