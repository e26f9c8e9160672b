"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

import bisect
from collections import Counter

#: Upper ends of the classes of times, in seconds.
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Measures:
    """Counts of requests, rows and times since the start."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rows = 0
        self._times = [0] * (len(_SECONDS) + 1)
        self._total = 0.0

    def add(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.requests[path, status] += 1
        if path == "/predict":
            self._times[bisect.bisect_left(_SECONDS, seconds)] += 1
            self._total += seconds

    def to_text(self, batches: int) -> str:
        """In the text format of Prometheus, version 0.0.4."""
        lines = ["# HELP chainrule_requests_total Requests that were answered.",
                 "# TYPE chainrule_requests_total counter"]  # fmt: skip
        lines += [
            f'chainrule_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self.requests.items())
        ]
        lines += ["# HELP chainrule_rows_total Rows that were predicted.",
                  "# TYPE chainrule_rows_total counter", f"chainrule_rows_total {self.rows}",
                  "# HELP chainrule_batches_total Batches that small requests were put into.",
                  "# TYPE chainrule_batches_total counter", f"chainrule_batches_total {batches}",
                  "# HELP chainrule_predict_seconds Time from request to answer.",
                  "# TYPE chainrule_predict_seconds histogram"]  # fmt: skip
        below = 0
        for end, count in zip(_SECONDS, self._times, strict=False):
            below += count
            lines.append(f'chainrule_predict_seconds_bucket{{le="{end:g}"}} {below}')
        count = sum(self._times)
        lines += [f'chainrule_predict_seconds_bucket{{le="+Inf"}} {count}',
                  f"chainrule_predict_seconds_sum {self._total:.6f}",
                  f"chainrule_predict_seconds_count {count}"]  # fmt: skip
        return "\n".join(lines) + "\n"
