#!/usr/bin/env bash
# Ships events from the outbox to ClickHouse: relay-events.sh [--follow]; --help tells more.
set -euo pipefail
# shellcheck source=scripts/_project.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_project.sh"
exec "$python" -m {{ cookiecutter.package_name }}.relay_events "$@"
