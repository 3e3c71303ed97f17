"""A fault laboratory: a small, fast stand-in for AWS with faults and endings by script.

```python
with Lab(seed=1, faults=[faults.throttle(rate=0.2)], endings={"*-3": endings.out_of_memory()}) as lab:
    executor = AWSBatchExecutor(**lab.options)
```
"""

from __future__ import annotations

from . import endings, faults, results
from .laboratory import BUCKET, QUEUE, Lab, duplicates
from .queues import Queue
from .store import Bucket

__all__ = ["BUCKET", "QUEUE", "Bucket", "Lab", "Queue", "duplicates", "endings", "faults", "results"]
