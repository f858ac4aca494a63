"""What the ISD-R's functions share: keys, notifications, switches, the eIM store, memory, lists.

`packages` and `install` build on it, and `es10`, the table of functions, on all three; never the reverse.
"""
