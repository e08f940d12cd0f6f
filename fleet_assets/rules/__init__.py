"""Rules: what counts as an anomaly, as data, and the detectors that look for it."""
