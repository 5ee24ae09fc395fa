"""Writing a small object only if it is as expected: S3 compares ETags, Google generations.

fsspec has no common way to do so. For S3, s3fs passes the conditions on. For Google,
google-cloud-storage (which gcsfs needs anyway) is used with the credentials that gcsfs has found.
obstore would work for S3, but has neither profiles nor the other options of s3fs, and the server of
the tests for Google's API does not understand its requests.
"""

from contextlib import closing
from typing import Any

# Codes of S3 for an object that is not as a conditional write expects it.
NOT_AS_EXPECTED = ("PreconditionFailed", "ConditionalRequestConflictError", "NoSuchKey")
RETRY_SECONDS = 30


class NotAsExpectedError(Exception):
    """The object has another version than expected, or is there though none was expected."""


def write(filesystem: Any, path: str, content: bytes, expected: str | None) -> str:
    """Write an object if it has the version `expected`; None: if there is none.

    `filesystem` is one of s3fs or gcsfs. Returns the new version. Raises NotAsExpectedError.
    """
    if "gs" in filesystem.protocol:
        return _write_google(filesystem, path, content, expected)
    return _write_s3(filesystem, path, content, expected)


def _write_s3(filesystem: Any, path: str, content: bytes, expected: str | None) -> str:
    condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
    try:
        return str(filesystem.pipe_file(path, content, **condition)["ETag"])
    except Exception as error:
        code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
        if isinstance(error, FileExistsError) or code in NOT_AS_EXPECTED:
            raise NotAsExpectedError(path) from error
        raise


def _write_google(filesystem: Any, path: str, content: bytes, expected: str | None) -> str:
    from google.api_core.exceptions import PreconditionFailed
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _, name = path.partition("/")
    client = storage.Client(
        project=filesystem.project or "none",  # an object's bucket is enough, but the client asks
        credentials=filesystem.credentials.credentials or AnonymousCredentials(),
        client_options={"api_endpoint": filesystem.base.removesuffix("/storage/v1/")},
    )
    with closing(client):  # one a call: the lease is renewed by a thread of its own
        blob = client.bucket(bucket).blob(name)
        try:
            blob.upload_from_string(
                content,
                "application/octet-stream",
                if_generation_match=int(expected or 0),
                retry=DEFAULT_RETRY.with_timeout(RETRY_SECONDS),
            )
        except PreconditionFailed as error:
            raise NotAsExpectedError(path) from error
        return str(blob.generation)
