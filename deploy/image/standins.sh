#!/bin/sh
# A TEST AID, not a way to make images for use: makes stand-ins for the base images of
# the Dockerfiles here, where no registry can be reached: deploy/image/standins.sh
#
#	caddy:2.11          Debian in place of Alpine, with the folders and settings of
#	                    Caddy's image, and wget
#	caddy:2.11-builder  the same with this machine's Go, and xcaddy of the module proxy
#	alpine:3.24         the same Debian
#
# They get these very names in the storage of buildah and podman, so that the Dockerfiles
# can be built as they are, with --pull=never. Real images of these names are not touched.
#
# Needs root, a Debian mirror (DEBIAN_MIRROR), Go with its module proxy, and Debian's
# packages buildah and debootstrap.
set -eu

xcaddy=v0.4.5 # what caddy:2.11-builder has
label=com.example.caddy-token-auth.stand-in
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
registry=docker.io/library

say() { printf 'standins: %s\n' "$*" >&2; }

[ "$(id -u)" -eq 0 ] || { say 'must be run as root'; exit 1; }
for tool in go buildah debootstrap tar; do
	command -v $tool >/dev/null || { say "$tool is missing (apt-get install buildah debootstrap)"; exit 1; }
done

# missing <image>: is it not there? A real one is an error.
missing() {
	buildah inspect --type image "$registry/$1" >/dev/null 2>&1 || return 0
	[ "$(buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$label\"}}" "$registry/$1")" = true ] || {
		say "there is a real $1, which would be replaced"
		exit 1
	}
	return 1
}

work=$(mktemp -d)
container=
finish() {
	[ -z "$container" ] || buildah rm "$container" >/dev/null || say "container $container is left"
	rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# commit <image>: makes it of the container.
commit() {
	buildah config --label "$label=true" "$container"
	buildah commit --quiet "$container" "$registry/$1" >/dev/null
	buildah rm "$container" >/dev/null
	container=
	say "made $1"
}

if missing alpine:3.24; then
	say "fetching Debian $suite from $mirror"
	debootstrap --variant=minbase --include=ca-certificates,wget "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 || {
		tail "$work/log" >&2
		exit 1
	}
	rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists"
	tar -C "$work/root" --exclude='./dev/*' -cf "$work/root.tar" .
	container=$(buildah from scratch)
	buildah add --quiet "$container" "$work/root.tar" / >/dev/null
	buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd /bin/sh "$container"
	commit alpine:3.24
fi

if missing caddy:2.11; then
	container=$(buildah from --pull=never "$registry/alpine:3.24")
	mount=$(buildah mount "$container")
	mkdir -p "$mount/config/caddy" "$mount/data/caddy" "$mount/etc/caddy" "$mount/srv"
	chmod 1777 "$mount/config/caddy" "$mount/data/caddy"
	echo ':80' >"$mount/etc/caddy/Caddyfile"
	# Who forgets to put Caddy in its place notices.
	printf '#!/bin/sh\necho "this is a stand-in, not Caddy" >&2\nexit 1\n' >"$mount/usr/bin/caddy"
	chmod 0755 "$mount/usr/bin/caddy"
	buildah config --env XDG_CONFIG_HOME=/config --env XDG_DATA_HOME=/data --workingdir /srv \
		--port 80 --port 443 --port 443/udp --port 2019 \
		--cmd '["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]' "$container"
	commit caddy:2.11
fi

if missing caddy:2.11-builder; then
	source=$(go mod download -json "github.com/caddyserver/xcaddy@$xcaddy" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	(cd "$source" && CGO_ENABLED=0 go build -trimpath -o "$work/xcaddy" ./cmd/xcaddy)
	container=$(buildah from --pull=never "$registry/caddy:2.11")
	mount=$(buildah mount "$container")
	rm "$mount/usr/bin/caddy"
	cp -a "$(go env GOROOT)" "$mount/usr/local/go"
	cp "$work/xcaddy" "$mount/usr/bin/xcaddy"
	mkdir -p "$mount/go"
	buildah config --env GOPATH=/go --env GOTOOLCHAIN=local \
		--env PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		--env XCADDY_VERSION=$xcaddy --env XCADDY_SKIP_CLEANUP=1 --env XCADDY_SETCAP=1 \
		--workingdir /usr/bin "$container"
	commit caddy:2.11-builder
fi
