"""Writes `src/batch/fields.json`: the fields of a job and of a job definition, as AWS's model of its API has them.

The model is botocore's, which moto brings along. Run `python scripts/batch_fields.py` when the executor is to use a
field that is newer than the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session

FILE = Path(__file__).parents[1] / "src" / "batch" / "fields.json"
OPERATIONS = ("RegisterJobDefinition", "SubmitJob")


def fields() -> dict[str, dict[str, Any]]:
    """The structures that the requests of these operations are made of.

    Returns:
        By the structure's name the types of its fields by name: `string`, `integer`, `boolean`, the name of another
        structure, `[type]` for a list, `{"*": type}` for a map.
    """
    service = botocore.session.get_session().get_service_model("batch")
    structures: dict[str, dict[str, Any]] = {}

    def described(shape: Any) -> Any:
        if shape.type_name == "list":
            return [described(shape.member)]
        if shape.type_name == "map":
            return {"*": described(shape.value)}
        if shape.type_name == "structure" and shape.name not in structures:
            structures[shape.name] = {}
            structures[shape.name].update((name, described(member)) for name, member in shape.members.items())
        return shape.name if shape.type_name == "structure" else shape.type_name

    for operation in OPERATIONS:
        described(service.operation_model(operation).input_shape)
    return structures


def main() -> None:
    """Writes one structure a line, so that a change can be read."""
    lines = [f"{json.dumps(name)}: {json.dumps(members)}" for name, members in sorted(fields().items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
