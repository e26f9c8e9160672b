"""Beside other tools: scikit-learn, search of options, monitoring. Each part is an extra.

Nothing here is imported before it is used, and what an extra needs is named by it when it is
missing.
"""
