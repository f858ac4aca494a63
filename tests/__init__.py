"""The tests, a package so that they can share `tests.shared`; see docs/how-to/test.md."""
