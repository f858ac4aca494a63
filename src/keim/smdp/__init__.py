"""The SM-DP+: orders, download sessions, binding, notifications. A role: pure, imports floor 0 only.

`answer` in keim.smdp.answer is the door: `wanted` tells what a request needs of the store, `decide` gives the
reply, the events and the new rows. Nothing here knows how messages travel or where rows are kept.
"""
