"""A server of S3's protocol, moto's, that checks every signature and every right. Ends with its standard input.

Prints one line of JSON: its port, and the credentials of one that may write and one that may only read the bucket.
"""

import json
import logging
import sys
from urllib.parse import parse_qsl, quote, urlencode

import boto3
from moto import settings
from moto.iam.access_control import S3IAMRequest
from moto.server import ThreadedMotoServer

BUCKET = "baselines"

READ = ["s3:GetObject", "s3:HeadObject", "s3:ListBucket"]
WRITE = [*READ, "s3:PutObject"]

made = S3IAMRequest._create_aws_request


def with_query(request):
    """Moto has lost how a query was encoded before it checks it, and refuses boto3's own lists."""
    path, _, query = request._path.partition("?")
    if query:
        pairs = parse_qsl(query, keep_blank_values=True)
        request._path = f"{path}?{urlencode(pairs, quote_via=quote, safe='-_.~')}"
    return made(request)


S3IAMRequest._create_aws_request = with_query

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
_, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"


def client(service):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )


client("s3").create_bucket(Bucket=BUCKET)
iam = client("iam")


def user(name, actions):
    iam.create_user(UserName=name)
    statement = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


told = {"port": port, "bucket": BUCKET, "writer": user("writer", WRITE), "reader": user("reader", READ)}
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(json.dumps(told), flush=True)
sys.stdin.read()
server.stop()
