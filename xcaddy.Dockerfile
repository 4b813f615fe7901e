# Caddy with the plugin, as an image. Build it in the root of the repository:
#
#	docker build -f xcaddy.Dockerfile -t caddy-token-auth .
#
# It reads /etc/caddy/Caddyfile, which is caddyfile.example unless another is mounted
# there: JWT_SECRET and UPSTREAM must be in its environment. It runs as user 65532,
# needs no capability, and writes to the volume /data alone, so the root file system
# can be read-only. docs/docker.md has the rest.

# Name them with a digest to pin them.
ARG BUILDER=caddy:2.11-builder
ARG BASE=caddy:2.11

FROM ${BUILDER} AS build

# A proxy of one's own, and the checksum database that it goes with.
ARG GOPROXY=https://proxy.golang.org,direct
ARG GOSUMDB=sum.golang.org

# No capability on the file: it would keep Caddy from starting where the container may
# not have that capability.
ENV XCADDY_SETCAP=0
# The plugin is in /src. Go asks for its path nevertheless, and some proxies answer with
# another error than that there is no such module.
ENV GOPRIVATE=example.com/caddy-token-auth
ENV GOMODCACHE=/cache/modules GOCACHE=/cache/build

COPY . /src
WORKDIR /out
RUN --mount=type=cache,target=/cache \
	xcaddy build v2.11.9 --with example.com/caddy-token-auth/caddymodule --replace example.com/caddy-token-auth=/src

# Every module in it is, to the byte, one that go.sum names, whatever GOPROXY and
# GOSUMDB were. What follows "dep" is the module, its version and its hash. grep answers 1
# if all are named, 0 if some are not, and more if it could not look.
RUN go version -m caddy | awk '$1 == "dep" && NF == 4 { print $2, $3, $4 }' > modules \
	&& test -s modules \
	&& { grep -vxFf /src/go.sum modules; test $? -eq 1 || { echo 'not all modules are found to be those of go.sum' >&2; exit 1; }; }

FROM ${BASE}

# Who publishes it names themselves. Without these, Caddy's own labels would stay.
ARG VERSION=unreleased
ARG REVISION=unknown
ARG SOURCE=https://example.com/caddy-token-auth
ARG VENDOR=
LABEL org.opencontainers.image.title="caddy-token-auth" \
	org.opencontainers.image.description="Caddy with a real logout in front of an API that already exists" \
	org.opencontainers.image.version="${VERSION}" \
	org.opencontainers.image.revision="${REVISION}" \
	org.opencontainers.image.source="${SOURCE}" \
	org.opencontainers.image.url="${SOURCE}" \
	org.opencontainers.image.documentation="${SOURCE}" \
	org.opencontainers.image.vendor="${VENDOR}" \
	org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /out/caddy /usr/bin/caddy
COPY caddyfile.example /etc/caddy/Caddyfile

# Caddy keeps everything below /data/caddy, the list in token_auth there. A new volume
# gets the owner that the directory has here.
RUN mkdir -p /data/caddy && chown -R 65532:65532 /data && chmod 0700 /data/caddy
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data CADDY_ADMIN=127.0.0.1:2019
VOLUME /data

# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM

# Healthy is what can judge credentials. The proxy that JWKS may need is not for this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
	CMD http_proxy= wget -q -T 4 -O /dev/null "http://$CADDY_ADMIN/token_auth/ready"

CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
