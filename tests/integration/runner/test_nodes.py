"""The runner on a node of a job: which variables a function has, and what the node leaves where."""

from __future__ import annotations

from covalent._workflow.transportable_object import TransportableObject
from support.bench import BUCKET, RESULT, Bench, decoded

NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "NNODES", "RANK", "WORLD_SIZE", "LOCAL_RANK")


def on_node(bench: Bench, index: int, **more: str) -> None:
    bench.environment |= {
        "AWS_BATCH_JOB_ID": f"j-1#{index}",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "AWS_BATCH_JOB_NODE_INDEX": str(index),
        "AWS_BATCH_JOB_NUM_NODES": "3",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        **({"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.7"} if index else {}),
        **more,
    }


def test_a_function_finds_what_pytorch_looks_for(bench: Bench) -> None:
    on_node(bench, 2)
    names = NAMES
    bench.put(lambda: [__import__("os").environ.get(name) for name in names])
    assert bench.run()[0] == 0
    key = "result-d-1.node-2.attempt-2.pkl"
    envelope = decoded(bench.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert (envelope["job_id"], envelope["attempt"], envelope["status"]) == ("j-1#2", 2, "succeeded")
    found = TransportableObject.deserialize(envelope["output"]).get_deserialized()
    assert found == ["10.0.0.7", "29500", "2", "3", "2", "3", "0"]


def test_the_main_node_leaves_the_tasks_result_and_knows_its_own_address(bench: Bench) -> None:
    on_node(bench, 0, MASTER_PORT="4711")
    names = NAMES
    bench.put(lambda: [__import__("os").environ.get(name) for name in names])
    assert bench.run()[0] == 0
    address, *rest = bench.value()
    assert rest == ["4711", "0", "3", "0", "3", "0"]
    assert address.count(".") == 3
    assert bench.envelope()["job_id"] == "j-1"


def test_attempts_of_earlier_jobs_count(bench: Bench) -> None:
    on_node(bench, 1, COVALENT_AWSBATCH_ATTEMPTS_BEFORE="3")
    bench.put(lambda: None)
    assert bench.run()[0] == 0
    listed = bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="result-")["Contents"]
    assert [one["Key"] for one in listed] == ["result-d-1.node-1.attempt-5.pkl"]


def test_the_main_node_fails_with_the_node_that_did_not_return(bench: Bench) -> None:
    def fail() -> None:
        raise ArithmeticError("node 2 gives up")

    on_node(bench, 2)
    bench.put(fail)
    assert bench.run()[0] == 1
    del bench.environment["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"]
    on_node(bench, 0, COVALENT_AWSBATCH_NODE_RESULTS="all")
    bench.put(lambda: "mine")
    code, _, err = bench.run()
    assert code == 1
    assert "ArithmeticError: node 2 gives up" in err
    assert "That was node 2 of this job." in err
    envelope = decoded(bench.s3.get_object(Bucket=BUCKET, Key=RESULT)["Body"].read())
    assert (envelope["status"], envelope["exception"]) == ("failed", "ArithmeticError")


def test_each_node_has_a_checkpoint_of_its_own(bench: Bench) -> None:
    def kept(value: str) -> str:
        from covalent_awsbatch_plugin import checkpoint

        place = checkpoint.directory() / "kept"
        if place.exists():
            return place.read_text()
        place.write_text(value)
        raise ArithmeticError("the first attempt")

    for value in ("one", "two"):
        on_node(bench, 1, COVALENT_AWSBATCH_CHECKPOINT="3600")
        bench.put(kept, value)
        assert bench.run()[0] == (1 if value == "one" else 0)
    keys = [one["Key"] for one in bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="checkpoint-")["Contents"]]
    assert keys == ["checkpoint-d-1.node-1.tar"]
    content = bench.s3.get_object(Bucket=BUCKET, Key="result-d-1.node-1.attempt-2.pkl")["Body"].read()
    assert TransportableObject.deserialize(decoded(content)["output"]).get_deserialized() == "one"


def test_a_main_node_that_waits_can_be_terminated(bench: Bench) -> None:
    on_node(bench, 0, COVALENT_AWSBATCH_NODE_RESULTS="all")
    bench.put(lambda: print("returned", flush=True))
    with bench.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "returned\n"
        process.terminate()
        process.communicate(timeout=120)
    assert process.returncode == 143
    assert bench.envelope()["status"] == "terminated"
