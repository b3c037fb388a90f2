#!/usr/bin/env bash
# Random conformance scripts made by the Prometheus engine (tests/oracle/run.sh), from fresh seeds and through all profiles
# in turn, until interrupted (SIGINT or SIGTERM) or until EVALS have been run. Prints the totals of every profile; scripts in
# which something failed are kept.
#
# usage: bench/oracle_soak.sh [EVALS]          EVALS: stop after this many (default: none)
# environment: CONFORMANCE (the built program, default build/conformance), EVALUATOR (streaming), PROFILES (all seven),
#              SEED of the first round (default: random; each round takes the next), SCRIPTS a profile and round (8) of
#              ROUND_EVALS (120), KEEP (the folder for failing scripts, default build/oracle-soak)
# Beside failing scripts KEEP gets `unsupported` (evals that were refused, with the reason) and `roundings`.
# Exit status: 0 when nothing failed, 1 when something did, 77 when the generator cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=${1:-0}
conformance=${CONFORMANCE:-build/conformance}
evaluator=${EVALUATOR:-streaming}
read -ra profiles <<<"${PROFILES:-seed functions histograms matching subqueries experimental all}"
first=${SEED:-$((RANDOM * 32768 + RANDOM))}
scripts=${SCRIPTS:-8}
round_evals=${ROUND_EVALS:-120}
keep=${KEEP:-build/oracle-soak}
oracle=${XDG_CACHE_HOME:-$HOME/.cache}/weir/peers/oracle

if [ ! -x "$oracle" ]; then
  echo "SKIPPED: no generator at $oracle; tests/oracle/run.sh builds it"
  exit 77
fi
mkdir -p "$keep"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stop=0
trap 'stop=1' INT TERM

declare -A passed failed unsupported undecidable rounding
for profile in "${profiles[@]}"; do
  passed[$profile]=0 failed[$profile]=0 unsupported[$profile]=0 undecidable[$profile]=0 rounding[$profile]=0
done
total=0
seed=$first
started=$SECONDS

run_profile() {  # PROFILE: one round of it
  local profile=$1 code=0 p f u d r
  rm -rf "$work/scripts"
  "$oracle" gen --seed "$seed" --scripts "$scripts" --evals "$round_evals" --profile "$profile" --jobs 1 \
    --out "$work/scripts" --quiet || return 0  # interrupted: the round does not count
  "$conformance" "$evaluator" --skips "$work/scripts" >"$work/log" || code=$?
  if ! grep -qE '^passed [0-9]+' "$work/log"; then
    [ "$stop" -ne 0 ] && return 0
    echo "seed $seed, $profile: the evaluator ended with status $code"
    mkdir -p "$keep/$profile-$seed"
    cp "$work/scripts"/* "$keep/$profile-$seed"
    failed[$profile]=$((failed[$profile] + 1))
    return 0
  fi
  read -r p f u d < <(grep -E '^passed [0-9]+' "$work/log" | tr -dc '0-9 \n')
  r=$(grep -c '^decided by a rounding' "$work/log" || true)
  if [ "$code" -ne 0 ]; then
    echo "seed $seed, $profile: failed $f"
    mkdir -p "$keep/$profile-$seed"
    cp "$work/log" "$keep/$profile-$seed/log"
    sed -n 's/^\([^ ]*\.test\): passed [0-9]*, failed [1-9].*/\1/p' "$work/log" | while read -r script; do
      cp "$work/scripts/$script" "$keep/$profile-$seed"
    done
  elif [ "$r" -ne 0 ]; then
    grep -A 60 '^decided by a rounding' "$work/log" | grep -vE '^[^ ]*: (unsupported|undecidable)|^passed' >>"$keep/roundings"
  fi
  grep ': unsupported: ' "$work/log" >>"$keep/unsupported" || true
  passed[$profile]=$((passed[$profile] + p))
  failed[$profile]=$((failed[$profile] + f))
  unsupported[$profile]=$((unsupported[$profile] + u))
  undecidable[$profile]=$((undecidable[$profile] + d))
  rounding[$profile]=$((rounding[$profile] + r))
  total=$((total + p + f + u + d))
}

echo "oracle soak: $evaluator, seeds from $first, ${scripts} scripts of $round_evals evals a profile and round"
while [ "$stop" -eq 0 ]; do
  for profile in "${profiles[@]}"; do
    [ "$stop" -eq 0 ] && run_profile "$profile"
    if [ "$limit" -ne 0 ] && [ "$total" -ge "$limit" ]; then
      stop=1
    fi
  done
  [ "$stop" -ne 0 ] || seed=$((seed + 1))
done

echo "seeds $first to $seed, $total evals in $((SECONDS - started)) s; failing scripts are in $keep"
bad=0
for profile in "${profiles[@]}"; do
  printf '%-13s passed %d, failed %d, unsupported %d, undecidable %d, decided by a rounding %d\n' "$profile" \
    "${passed[$profile]}" "${failed[$profile]}" "${unsupported[$profile]}" "${undecidable[$profile]}" "${rounding[$profile]}"
  bad=$((bad + failed[$profile]))
done
[ "$bad" -eq 0 ]
