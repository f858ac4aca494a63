"""Counters of a server in the text format of Prometheus. Never an EID, ICCID or matching id as a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Counters:
    """`known_paths` keeps strangers from making labels: every other path is counted as `other`."""

    def __init__(self, known_paths: frozenset[str]) -> None:
        self._known = known_paths
        self._answers: dict[str, Counter[tuple[str, int | str]]] = {"http": Counter()}

    def observe(self, path: str, status: int | str, *, carrier: str = "http") -> None:
        answers = self._answers.get(carrier)
        if answers is None:
            answers = self._answers[carrier] = Counter()
        answers[path if path in self._known else "other", status] += 1

    def text(self, gauges: Mapping[str, Mapping[str, int]]) -> str:
        """`gauges`: name with one label (`keim_smdp_profiles{state`) -> value of the label -> number."""
        lines = []
        for carrier, answers in self._answers.items():
            name = f"keim_{carrier}_responses_total"
            lines.append(f"# TYPE {name} counter")
            lines += [
                f'{name}{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(answers.items())
            ]
        for name, values in gauges.items():
            lines.append(f"# TYPE {name.partition('{')[0]} gauge")
            for value, count in sorted(values.items()):
                label = f'{name}="{value}"}}' if "{" in name else name
                lines.append(f"{label} {count}")
        return "\n".join(lines) + "\n"
