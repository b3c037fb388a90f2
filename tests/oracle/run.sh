#!/usr/bin/env bash
# Random conformance scripts made by the Prometheus engine itself (generator/), run against weir's evaluators.
#
# usage: run.sh CONFORMANCE [EVALUATOR…]     CONFORMANCE: the built `conformance` program
#        EVALUATOR: naive, streaming, one-by-one (default: all three)
# environment: SEED (default 1), SCRIPTS per profile (6), EVALS per script (120), PROFILES (the five that weir evaluates)
#
# The generator needs Go and is built once into ${XDG_CACHE_HOME:-~/.cache}/weir/peers; without Go and without a built one
# the script exits 77, which ctest shows as skipped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
conformance=${1:?usage: run.sh CONFORMANCE [EVALUATOR…]}
shift
evaluators=("$@")
if [ $# -eq 0 ]; then
  evaluators=(naive streaming one-by-one)
fi
seed=${SEED:-1}
scripts=${SCRIPTS:-6}
evals=${EVALS:-120}
profiles=${PROFILES:-seed functions matching subqueries experimental}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/peers
oracle=$cache/oracle
if [ ! -x "$oracle" ]; then
  if ! command -v go >/dev/null; then
    echo "SKIPPED: no Go to build the generator with, and none built at $oracle"
    exit 77
  fi
  mkdir -p "$cache"
  (cd "$here/generator" && go build -o "$oracle" .)
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for profile in $profiles; do
  "$oracle" gen --seed "$seed" --scripts "$scripts" --evals "$evals" --profile "$profile" --out "$out" --quiet
done
status=0
for evaluator in "${evaluators[@]}"; do
  echo "== $evaluator, seed $seed, $scripts scripts of $evals evals for each of: $profiles"
  "$conformance" "$evaluator" "$out" || status=$?
done
exit $status
