#!/usr/bin/env bash
# Rolls migrations back: migrate-down.sh [--yes] [--allow-production]{% if cookiecutter.analytics == "clickhouse" %} [--analytics]{% endif %} [STEPS|REVISION]; --help tells more.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.migrate downgrade "$@"
