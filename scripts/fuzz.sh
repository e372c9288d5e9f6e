#!/usr/bin/env bash
# Runs every fuzz target of the module for $FUZZTIME.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rlE --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
  dir=$(dirname "$file")
  grep -oE '^func (Fuzz[A-Za-z0-9]*)' "$file" | awk '{print $2}' | while read -r target; do
    echo "== $dir $target (${FUZZTIME:-10m})"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10m}" -fuzzminimizetime 2s "$dir" | tail -n 3
  done
done
