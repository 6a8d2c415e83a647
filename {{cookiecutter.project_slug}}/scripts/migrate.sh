#!/usr/bin/env bash
# Applies migrations: migrate.sh [--plan | --adopt]{% if cookiecutter.analytics == "clickhouse" %} [--analytics]{% endif %} [REVISION]; --help tells more.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.migrate upgrade "$@"
