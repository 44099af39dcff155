"""The same training in invlearn and in common alternatives, one module each.

Each has a class ``Peer(problem)`` with ``epoch(index)``, which trains one epoch and returns its seconds and the mean
loss of its steps, ``(R,)``.
"""
