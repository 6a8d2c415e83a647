# shellcheck shell=bash
# Sourced by the other scripts: goes to the project's root and finds its Python.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# The project's own environment if there is one; in a container, whatever Python runs there. What
# `make env` has installed is not looked at, which would start Python once more.
python=.venv/bin/python
if [ ! -x "$python" ] || [ ! -e .venv/.installed ]; then
    [ -x "$python" ] || python=$(command -v python3 || command -v python || true)
    if [ -z "$python" ] || ! "$python" -c 'import {{ cookiecutter.package_name }}' 2>/dev/null; then
        echo "The service is not installed here. Next: make env (in $PWD)" >&2
        exit 1
    fi
fi
