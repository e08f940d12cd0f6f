"""How long what is kept: the classes of retention, as data."""
