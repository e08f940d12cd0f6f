"""Judging hours by the models that are pinned for them, and what comes of it as anomalies."""
