"""What a sweep costs on top of its cells' own work: planning, handing out, writing, loading; and its memory.

The limits are those of a sweep of 100,000 cells. Measured in processor time where one process does the work, since a
busy machine makes wall time longer and not processor time.
"""
