#!/bin/sh
# Move every private module into its wing, and the tests after them. Run at the top of a clean checkout.
set -e
python3 tools/wings/before.py
python3 tools/wings/move.py
ruff check --select I,RUF022 --fix -q captchahub tests benchmarks plugins examples
python3 tools/wings/after.py
ruff format -q captchahub tests benchmarks plugins examples
ruff check --fix -q captchahub tests benchmarks plugins examples
ruff format -q captchahub tests benchmarks plugins examples
