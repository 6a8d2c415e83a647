#!/usr/bin/env bash
# Writes a migration: new-migration.sh "what it does"; --help tells more.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "${BASH_SOURCE[0]}")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.db.migrate new "$@"
