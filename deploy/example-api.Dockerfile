# The example API of internal/exampleapi, to try the sidecar with. It is not for use.
# Build it in the root of the repository:
#
#	docker build -f deploy/example-api.Dockerfile -t caddy-token-auth-example-api .

ARG BUILDER=caddy:2.11-builder
ARG BASE=alpine:3.24

# It has Go, and is there already where the sidecar was built.
FROM ${BUILDER} AS build
ARG GOPROXY=https://proxy.golang.org,direct
ARG GOSUMDB=sum.golang.org
ENV CGO_ENABLED=0 GOMODCACHE=/cache/modules GOCACHE=/cache/build
COPY . /src
WORKDIR /src
RUN --mount=type=cache,target=/cache go build -trimpath -buildvcs=false -o /out/example-api ./cmd/example-api

FROM ${BASE}
COPY --from=build /out/example-api /usr/bin/example-api
USER 65532:65532
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
	CMD http_proxy= wget -q -T 4 -O /dev/null http://127.0.0.1:9000/health
ENTRYPOINT ["example-api"]
CMD ["-listen", ":9000"]
