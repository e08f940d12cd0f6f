"""Models of feature windows: what is usual, what is not, and what is wrong; pure functions."""
