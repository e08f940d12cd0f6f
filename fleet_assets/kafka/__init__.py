"""Adapter to Kafka for the batch road: what there is to read, and reading exactly that.

There is no consumer group and no committed offset here: the lake knows how far it has come.
"""
