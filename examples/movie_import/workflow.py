"""Imports the movies of a zip in S3 into a DynamoDB table, in a job on Fargate."""

import os
import sys

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

# The platform, the queue and the roles come from the configuration: `covalent-awsbatch deploy up --capacity FARGATE`.
executor = AWSBatchExecutor(vcpu=1, memory=2, time_limit=900, retry_on="infrastructure", packages=["boto3"])


@ct.electron(executor=executor)
def import_movies(bucket, key, table):
    """Writes each row of the archive's first file into the table; how many they were.

    A row is put under its id, so that a second run, or a second attempt, writes the same items again.
    """
    import csv
    import io
    import tempfile
    import zipfile

    import boto3

    rows = 0
    with tempfile.TemporaryFile() as file, boto3.resource("dynamodb").Table(table).batch_writer() as batch:
        print(f"reading s3://{bucket}/{key}")
        boto3.client("s3").download_fileobj(bucket, key, file)
        with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as content:
            for row in csv.DictReader(io.TextIOWrapper(content, "utf-8", newline="")):
                item = {"id": row.pop("")} | {name: value for name, value in row.items() if value}
                batch.put_item(Item=item)
                rows += 1
                if rows % 1000 == 0:
                    print(f"{rows} rows")
    print(f"{rows} rows written to {table}")
    return rows


@ct.lattice
def workflow(bucket, key, table):
    """One job."""
    return import_movies(bucket, key, table)


if __name__ == "__main__":
    place = os.environ["MOVIE_BUCKET"], os.environ["MOVIE_KEY"], os.environ["MOVIE_TABLE"]
    dispatch_id = ct.dispatch(workflow)(*place)
    result = ct.get_result(dispatch_id, wait=True)
    if result.result is None:
        sys.exit(f"the import failed; why: covalent-awsbatch why {dispatch_id}")
    print(f"imported {result.result} movies")
