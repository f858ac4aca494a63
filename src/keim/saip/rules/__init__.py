"""The rules that a package must keep, under the ids of the lint catalogue.

`catalogue` has the sentences, `structure` what a card checks before it begins (order, versions, sizes),
`contents` what only a linter looks at. Must never import anything above floor 0.
"""
