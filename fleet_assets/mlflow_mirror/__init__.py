"""MLflow shows what the warehouse and the lake know of models.

It is a mirror: nothing is read back from it, what it lacks is copied again by `mirror`, and no
version depends on it.
"""
