#!/bin/sh
# Builds the image on stand-ins for its base images and runs it: deploy/image/test.sh
#
# Needs root and, besides Go, Debian's packages buildah, debootstrap, podman and runc. What
# it makes stays in the storage of buildah and podman for the next run: the stand-ins, and
# localhost/caddy-token-auth. Modules come out of Go's module cache, and through this
# machine's module proxy where the cache does not have them.
set -eu
cd "$(dirname "$0")/../.."

for tool in buildah podman runc; do
	command -v $tool >/dev/null || {
		echo "image-test: $tool is missing (apt-get install buildah debootstrap podman runc)" >&2
		exit 1
	}
done

deploy/image/standins.sh
modules=$(go env GOMODCACHE)/cache/download
mkdir -p "$modules"
# The proxy may have a certificate that only this machine knows. No checksum database is
# needed: the Dockerfile compares with go.sum.
buildah bud --isolation chroot --pull=never --format docker \
	--volume "$modules:/modules:ro" --volume /etc/ssl/certs:/etc/ssl/certs:ro \
	--build-arg "GOPROXY=file:///modules,$(go env GOPROXY)" --build-arg GOSUMDB=off \
	-f xcaddy.Dockerfile -t localhost/caddy-token-auth .
IMAGE=localhost/caddy-token-auth exec go test -count=1 -timeout 10m -v "$@" ./deploy/image
