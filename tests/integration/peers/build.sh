#!/usr/bin/env bash
# Makes sure that real peers are in the cache outside the tree and prints the folder they are in.
# usage: build.sh [prometheus-slim | promtool | alertmanager]…
#        build.sh kafka               prints the folder of the broker's jars
# Versions are pinned by */go.mod, */go.sum and kafka/pom.xml; only the ordinary Go and Maven clients are used.
# Exit 3: a peer cannot be had on this machine; standard error says why.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=3.15
cache=${WEIR_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weir/peers/$version}
mkdir -p "$cache"

if [ "$*" = kafka ]; then
  jars=${WEIR_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/weir/peers}/kafka-4.3.1/lib
  if [ ! -e "$jars/.complete" ]; then
    if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
      echo "java or mvn is not installed, so there is no Kafka broker" >&2
      exit 3
    fi
    mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2 || {
      echo "the Kafka broker's jars cannot be had" >&2
      exit 3
    }
    touch "$jars/.complete"
  fi
  echo "$jars"
  exit 0
fi

missing=()
for peer in "$@"; do
  [ -x "$cache/$peer" ] || missing+=("$peer")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "$cache"
  exit 0
fi

PATH=$PATH:/usr/local/go/bin
if ! command -v go >/dev/null; then
  echo "go is not installed, so ${missing[*]} cannot be built" >&2
  exit 3
fi

export GOFLAGS='-buildvcs=false -mod=readonly' GOWORK=off CGO_ENABLED=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() {  # FOLDER TAGS VERSION OUTPUT PACKAGE
  local started=$SECONDS
  (cd "$1" && go build -trimpath -tags "$2" \
     -ldflags "-s -w -X github.com/prometheus/common/version.Version=$3" -o "$work/out" "$5") >&2
  mv "$work/out" "$cache/$4"
  echo "built $4 $3 in $((SECONDS - started)) s" >&2
}

build_peer() {
  case $1 in
    prometheus-slim | promtool)  # without the cloud discoverers: static, file and HTTP discovery stay
      compile "$here/prometheus" netgo,remove_all_sd "$version.0" "$1" \
        "github.com/prometheus/prometheus/cmd/${1%-slim}"
      ;;
    alertmanager)  # the published module lacks the built page that one of its files embeds: a stub stands there
      local source=$work/alertmanager
      cd "$here/alertmanager"
      go mod download github.com/prometheus/alertmanager >&2
      cp -r --no-preserve=mode "$(go list -m -f '{{.Dir}}' github.com/prometheus/alertmanager)" "$source"
      mkdir -p "$source/ui/app/dist"
      echo '<!doctype html><title>Alertmanager</title>' | gzip >"$source/ui/app/dist/index.html.gz"
      compile "$source" netgo "$(go list -m -f '{{.Version}}' github.com/prometheus/alertmanager)" alertmanager \
        ./cmd/alertmanager
      ;;
    *)
      echo "unknown peer: $1" >&2
      exit 2
      ;;
  esac
}

for peer in "${missing[@]}"; do
  set +e  # a condition would switch errexit off inside the function
  (set -e; build_peer "$peer")
  code=$?
  set -e
  if [ $code -ne 0 ]; then
    echo "building $peer failed" >&2
    exit 3
  fi
done
echo "$cache"
