"""What a server leaves in Covalent's database for a moment only: put there as it would be, had it been killed then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import covalent as ct
from support.resuming import Cloud


def change(cloud: Cloud, statement: str, **values: Any) -> None:
    """Changes the database of a server that is down; one row at least."""
    (path,) = cloud.server.home.rglob("dispatcher_db.sqlite")
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement, values).rowcount > 0


def test_every_moment_of_a_dispatch_is_gone_on_with(cloud: Cloud) -> None:
    one, two, leaf = cloud.electron("one"), cloud.electron("two"), cloud.electron("leaf", gated=True)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return two(one(number))

    @ct.electron
    @ct.lattice(executor="local", workflow_executor="local")
    def inner(number: int) -> Any:
        return leaf(number)

    # Its workflow executor builds the sublattice.
    @ct.lattice(executor="local", workflow_executor="awsbatch")
    def outer(number: int) -> Any:
        return inner(number)

    ended = cloud.client.dispatch(workflow, 1)
    cloud.client.completed(ended)
    registered: str = ct.dispatch(workflow, disable_run=True)(2)
    unpacking = cloud.client.dispatch(outer, 3)
    cloud.called("leaf")
    between = cloud.dispatch_held({"two": "upload"}, workflow, 4)
    cloud.server.kill()
    cloud.way.release()
    lattice = "(SELECT id FROM lattices WHERE dispatch_id = :dispatch)"
    change(cloud, "UPDATE lattices SET status = 'RUNNING' WHERE dispatch_id = :dispatch", dispatch=ended)
    change(cloud, "UPDATE lattices SET status = 'STARTING' WHERE dispatch_id = :dispatch", dispatch=registered)
    begun = (
        f"UPDATE electrons SET status = 'NEW_OBJECT', started_at = NULL WHERE parent_lattice_id = {lattice} AND name = "
    )
    change(cloud, f"{begun} 'two'", dispatch=between)
    electron = f"(SELECT id FROM electrons WHERE parent_lattice_id = {lattice} AND type = 'sublattice')"
    change(cloud, f"UPDATE lattices SET electron_id = NULL WHERE electron_id = {electron}", dispatch=unpacking)
    cloud.open("leaf")
    cloud.server.start()

    answers = cloud.resume(ended, registered, unpacking, between)
    assert answers == dict.fromkeys([ended, registered, unpacking, between], "resumed")
    found = [cloud.client.completed(dispatch, 40).result for dispatch in (ended, registered, unpacking, between)]
    assert found == [1, 2, 3, 4]
    # The sublattice that nothing leads to any more had one, too.
    assert cloud.calls() == {"one": 3, "two": 3, "leaf": 2}
    assert [len(cloud.jobs(dispatch)) for dispatch in (ended, registered, unpacking, between)] == [2, 2, 2, 2]
