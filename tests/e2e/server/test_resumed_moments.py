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


def test_an_electron_that_was_about_to_begin_as_the_server_stopped_begins(cloud: Cloud) -> None:
    """Covalent had written down that it is cancelled, and the server ended before it was asked about that."""
    dispatch = cloud.dispatch_chain("one", "two")
    cloud.server.interrupt()
    job = "(SELECT job_id FROM electrons WHERE name = 'two' AND parent_lattice_id = (SELECT max(id) FROM lattices))"
    change(cloud, f"UPDATE jobs SET status = 'CANCELLED', cancel_requested = 1 WHERE id = {job}")
    cloud.open("one")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    assert cloud.client.completed(dispatch).result == 1
    assert cloud.calls() == {"one": 1, "two": 1}


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
    # The sublattice that nothing leads to any more had one, too. What a lattice returns takes no job.
    assert cloud.calls() == {"one": 3, "two": 3, "leaf": 2}
    assert [len(cloud.jobs(dispatch)) for dispatch in (ended, registered, unpacking, between)] == [2, 2, 1, 2]


def test_a_sublattice_that_had_just_ended_gives_its_result(cloud: Cloud) -> None:
    """Covalent writes down that it has ended, and only then the result beside the electron that it is of."""
    first, leaf = cloud.electron("first"), cloud.electron("leaf")

    @ct.electron
    @ct.lattice(executor="local", workflow_executor="local")
    def inner(number: int) -> Any:
        return leaf(number)

    @ct.lattice(executor="local", workflow_executor="local")
    def outer(number: int) -> Any:
        return inner(first(number))

    dispatch = cloud.client.dispatch(outer, 3)
    cloud.client.completed(dispatch)
    cloud.server.kill()
    lattice = "(SELECT id FROM lattices WHERE dispatch_id = :dispatch)"
    change(
        cloud,
        "UPDATE lattices SET status = 'RUNNING', completed_at = NULL WHERE dispatch_id = :dispatch",
        dispatch=dispatch,
    )
    left = "UPDATE electrons SET status = '{}', completed_at = NULL WHERE parent_lattice_id = {} AND {}"
    change(cloud, left.format("DISPATCHING", lattice, "type = 'sublattice'"), dispatch=dispatch)
    change(cloud, left.format("NEW_OBJECT", lattice, "name LIKE ':postprocess:%'"), dispatch=dispatch)
    asset = (
        "(SELECT asset_id FROM electron_assets JOIN electrons ON electrons.id = meta_id"
        f" WHERE parent_lattice_id = {lattice} AND type = 'sublattice' AND electron_assets.key = '{{}}')"
    )
    columns = "storage_type, storage_path, object_key, digest_alg, digest, size"
    built = f"SELECT {columns} FROM assets WHERE id = {asset.format('sublattice_manifest')}"
    change(cloud, f"UPDATE assets SET ({columns}) = ({built}) WHERE id = {asset.format('output')}", dispatch=dispatch)
    cloud.server.start()
    assert cloud.resume(dispatch) == {dispatch: "resumed"}
    assert cloud.client.completed(dispatch, 60).result == 3
    assert cloud.calls() == {"first": 1, "leaf": 1}
