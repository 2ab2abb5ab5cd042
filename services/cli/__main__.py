"""`python -m services.cli` is `bulkhead`: for who starts it as a child process and has only an interpreter."""

from services.cli.app import main

main()
