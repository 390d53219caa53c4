#!/bin/sh
set -e
flask --app ledger init-db
exec "$@"
