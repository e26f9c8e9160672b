"""The computation: one graph, its operations, the chain rule, passes, and backends that run it."""
