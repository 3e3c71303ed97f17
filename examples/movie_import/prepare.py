"""Makes on the embedded AWS what Terraform makes on an account: bucket, table, Fargate, and the archive to import."""

import io
import os
import zipfile

BUCKET, KEY, TABLE = "movie-archive", "movies.zip", "movies"

ROWS = """\
,title,overview,release_date,vote_average,vote_count,original_language,popularity
1,The Long Queue,"A job waits for a machine, and learns patience.",2019-04-01,7.1,1204,en,32.5
2,Reclaimed,Two minutes are left on a spot instance.,2021-10-12,6.4,310,en,11.9
3,Der Stapel,"Niemand weiß mehr, wer ihn angelegt hat.",2015-02-20,8.0,95,de,4.2
"""


def prepare(aws):
    """Makes it, and says what the executor has to know."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("movies.csv", ROWS)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=archive.getvalue())
    aws.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    batch = aws.client("batch")
    (subnet, *_) = aws.client("ec2").describe_subnets()["Subnets"]
    (group, *_) = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    batch.create_compute_environment(
        computeEnvironmentName="movies",
        type="MANAGED",
        state="ENABLED",
        serviceRole=aws.client("iam").get_role(RoleName="AWSBatchServiceRole")["Role"]["Arn"],
        computeResources={
            "type": "FARGATE",
            "maxvCpus": 4,
            "subnets": [subnet["SubnetId"]],
            "securityGroupIds": [group["GroupId"]],
        },
    )
    batch.create_job_queue(
        jobQueueName="movies-queue",
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "movies"}],
    )
    os.environ.update(MOVIE_BUCKET=BUCKET, MOVIE_KEY=KEY, MOVIE_TABLE=TABLE)
    return {"batch_queue": "movies-queue", "platform": "FARGATE"}
