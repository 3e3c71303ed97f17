"""The rate of Batch calls in an account that AWS throttles."""

from __future__ import annotations

from lab import Lab, faults
from support.processes import python


def test_an_attempt_that_the_sdk_makes_again_by_itself_slows_the_pace_too() -> None:
    program = """
        import asyncio, json, logging, sys
        from covalent_awsbatch_plugin._core import Client

        async def look():
            place = {"endpoint_url": sys.argv[1], "credentials": sys.argv[2], "region": "us-east-1"}
            client = Client(json.dumps(place))
            await client.identity()
            return await client.describe("nobody's")

        logging.basicConfig(stream=sys.stdout, level=logging.INFO)
        assert asyncio.run(look()) is None
    """
    with Lab(faults=[faults.throttle("DescribeJobs", times=1)]) as lab:
        told = python(program, lab.options["endpoint_url"], lab.options["credentials"]).stdout
        assert lab.counts["DescribeJobs"] == 2
    assert "AWS throttles; going on with 38 calls a second" in told
