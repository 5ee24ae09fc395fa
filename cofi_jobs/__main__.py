"""`python -m cofi_jobs`."""

from cofi_jobs.cli import main

main()
