"""Hand-overs in the database, on both sides: the whole, the papers, and where each device stands.

Tables of their own (component "handover") beside those of the eIM, which they are joined with. A row of a
device is written over the version before it only, so that two processes never decide the same step twice.
"""
