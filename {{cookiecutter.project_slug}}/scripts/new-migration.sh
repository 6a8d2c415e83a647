#!/usr/bin/env bash
# Writes a migration: new-migration.sh{% if cookiecutter.analytics == "clickhouse" %} [--analytics]{% endif %} "what it does"; --help tells more.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.migrate new "$@"
