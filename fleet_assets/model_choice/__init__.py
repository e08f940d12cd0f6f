"""When a model may serve, where it serves, and when it has to be trained anew: pure functions."""
