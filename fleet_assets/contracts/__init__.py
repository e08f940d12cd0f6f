"""What data looks like: signals, tables, reject reasons. One registry, from which all types,
checks, schemas and the data dictionary are made.

Domain and adapters read it; it imports neither. Nothing here reads or writes data.
"""
