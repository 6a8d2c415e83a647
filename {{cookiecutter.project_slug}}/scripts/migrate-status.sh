#!/usr/bin/env bash
# Shows where the database stands: revision, head, what is pending, what was edited.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.migrate status "$@"
