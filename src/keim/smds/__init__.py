"""The SM-DS: events that wait for an eUICC (ES11, ES12, ES15), at a root or an alternative.

A role: pure, imports floor 0 only. `keim.smds.answer` is the door: `wanted` and `decide`, as in keim.smdp.
"""
