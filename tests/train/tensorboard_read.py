"""Read an event file with TensorBoard itself and compare it with the metrics file it was made from.

    tensorboard_read.py METRICS.jsonl EVENTS     (77: TensorBoard is not installed)
"""
import json
import sys

try:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
except ImportError:
    print("SKIP: TensorBoard is not installed for", sys.executable)
    sys.exit(77)

got = {}
for event in EventFileLoader(sys.argv[2]).Load():
    for value in event.summary.value:
        # TensorBoard turns simple_value into a tensor when it loads a file.
        x = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
        got[event.step, value.tag] = x
want = {}
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    for key, x in row.items():
        if key not in ("step", "time", "kind") and x is not None:
            want[row["step"], f"{row['kind']}/{key}"] = x
assert want and want.keys() == got.keys(), (len(want), len(got))
for key, x in want.items():
    assert abs(got[key] - x) <= 1e-6 * abs(x), (key, x, got[key])
print(f"{len(want)} scalars agree")
