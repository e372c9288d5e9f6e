#!/usr/bin/env bash
# The tests that must never break. Output is short; the names of failing tests come last.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
failed=0

step() { # step NAME COMMAND...: runs it, prints one line, keeps the log for the end
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$log/$name" 2>&1; then
    echo "ok    $name ($((SECONDS - start)) s)"
  else
    echo "FAIL  $name ($((SECONDS - start)) s)"
    failed=1
  fi
}

arm64_tests() { # unit tests of everything with arithmetic, and one golden per model, under qemu
  for cpu in cortex-a53 cortex-a76 max; do
    QEMU_CPU=$cpu GOARCH=arm64 go test -exec qemu-aarch64-static -short \
      ./internal/fmath ./internal/half ./kernels/... || return 1
  done
  QEMU_CPU=cortex-a76 GOARCH=arm64 go test -exec qemu-aarch64-static -run 'TestGolden' -short -timeout 30m ./runtime
}

masks() { # the rows that a machine with fewer features would choose
  for mask in -avx512 -all; do
    EDGERUN_CPU=$mask go test -count=1 -short -timeout 30m ./runtime ./runtime/op/nn ./runtime/op/nnx || return 1
  done
}

step tests go test -timeout 30m ./...
step race env CGO_ENABLED=1 go test -race -short -timeout 30m ./kernels/... ./runtime/... ./model/...
step masks masks
step arm64 arm64_tests
step cross make -s cross

for f in "$log"/*; do
  case $(basename "$f") in
  tests) grep -vE '^(ok|\?) ' "$f" | grep -vE '^(=== |\s*--- (PASS|SKIP))' | tail -n 60 ;;
  *) [ $failed -eq 0 ] || tail -n 20 "$f" ;;
  esac
done
grep -hE '^\s*--- FAIL|^FAIL' "$log"/* | sort -u | tail -n 30
passed=$(cat "$log"/* | grep -cE '^ok ')
bad=$(cat "$log"/* | grep -cE '^FAIL\s+[a-z]')
[ $failed -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
echo "$passed passed, $bad failed"
exit $failed
