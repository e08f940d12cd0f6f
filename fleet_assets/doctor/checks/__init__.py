"""Pure checks: facts → findings. Nothing here asks anybody or knows the time by itself."""
