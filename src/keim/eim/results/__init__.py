"""What devices bring: results, data, notifications. Verified first, then believed (procedures §4.3).

One module for each kind; `keim.eim.provide_eim_package_result` has the table. Pure; imports floor 0 and
keim.eim only.
"""
