"""Adapters that gather the facts for the checks. They judge nothing and change nothing."""
