"""Composition: configuration, and which role stands on which edge. The only place that joins parts."""
