"""The subcommands of ``fleet``: each module parses, calls one function and prints."""
