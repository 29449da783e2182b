# Loggia: one image for every role (`loggia api`, `loggia builder`, `loggia proxy`).
#
#   docker build --tag loggia:dev .
#
# The base images are arguments, for mirrors and for machines without a registry. PROFILE=release builds in a third of
# the time of `dist`, which links everything into one unit for the edge's speed.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# What a role needs at run time. The same Debian as the build, for its C library and OpenSSL.
FROM ${RUNTIME_IMAGE} AS runtime
# git: for `loggia up` only. iproute2 and netbase (the names of protocols): a builder closes the way of its containers to
# private networks with them.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git iproute2 libssl3 netbase zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --home-dir /var/lib/loggia --create-home --shell /usr/sbin/nologin loggia \
    && install -d -o loggia -g loggia /var/lib/loggia/proxy /var/lib/loggia/builder

FROM ${RUST_IMAGE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates cmake g++ gcc libc6-dev libssl-dev make perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG PROFILE=dist
# The target folder stays out of the layer: it is 30 times the size of the binary.
RUN cargo build --locked --profile ${PROFILE} --package loggia-cli --bin loggia --target-dir /tmp/target \
    && install -D /tmp/target/${PROFILE}/loggia /out/loggia \
    && rm -rf /tmp/target

FROM runtime
COPY --from=build /out/loggia /usr/local/bin/loggia
# A builder needs the engine's socket, which belongs to root: compose.yaml runs that role alone as root.
USER loggia
WORKDIR /var/lib/loggia
ENV LOGGIA_LOG_FORMAT=json
EXPOSE 3000 8080 8443
ENTRYPOINT ["loggia"]
CMD ["--help"]
