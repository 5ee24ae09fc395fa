"""`make secrets`: fresh secrets for docker-compose.yaml in a file that only its owner reads."""

import base64
import os
import secrets
import sys


def main() -> None:
    """Write the file named on the command line, never over one that exists."""
    path = sys.argv[1]
    values = {
        "FERNET_KEY": base64.urlsafe_b64encode(
            secrets.token_bytes(32)
        ).decode(),  # the form that Fernet wants
        "JWT_SECRET": secrets.token_hex(32),
        "API_SECRET_KEY": secrets.token_hex(32),
        "POSTGRES_PASSWORD": secrets.token_hex(16),  # stands in a URL: letters and digits only
        "REDIS_PASSWORD": secrets.token_hex(16),  # as well
        "RAY_TOKEN": secrets.token_hex(32),
        "ADMIN_PASSWORD": secrets.token_hex(12),
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{path} exists and is kept: what the database holds is encrypted with its key")
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    print(f"wrote {path}; log in as admin with its ADMIN_PASSWORD")


if __name__ == "__main__":
    main()
