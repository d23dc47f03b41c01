# Hubgate in a container: `docker compose up -d` (compose.yaml), its roles apart (deploy/compose/separate.yaml), or by hand:
#
#     docker build -t hubgate .
#     docker run -d -p 8443:8443 -v hubgate-config:/hubgate/config -v hubgate-certs:/hubgate/certs \
#       -v hubgate-state:/hubgate/state -v hubgate-data:/hubgate/data -e HUBGATE_SERVER_URL=https://mirror.corp:8443 hubgate
#
# Without its own Node (a development dependency) and without a build step: src runs as it is.
FROM node:26-slim AS dependencies
WORKDIR /opt/hubgate
COPY package.json package-lock.json .npmrc tools/check-registry.mjs ./
# Behind a proxy: --build-arg HTTPS_PROXY=http://proxy.corp:3128. Docker passes HTTPS_PROXY, HTTP_PROXY and NO_PROXY to each RUN and
# keeps them out of the image. If the proxy inspects TLS: --build-arg CA="$(cat proxy-ca.pem)"; it stays in this stage.
ARG CA=""
# No install script runs: argon2 ships its binary, and nothing else has one. npm would try for ever where a proxy refuses.
RUN if [ -n "$CA" ]; then printf '%s\n' "$CA" > ca.pem; export NODE_EXTRA_CA_CERTS="$PWD/ca.pem"; fi; \
  node check-registry.mjs && npm ci --omit=dev --ignore-scripts

FROM node:26-slim
LABEL org.opencontainers.image.title="Hubgate" \
  org.opencontainers.image.version="0.2.0" \
  org.opencontainers.image.description="An authenticated gate in front of Docker Hub" \
  org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/hubgate
# What installs packages has no work here.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn-* \
  /usr/local/bin/yarn /usr/local/bin/yarnpkg
COPY --from=dependencies /opt/hubgate/node_modules node_modules
COPY package.json ./
COPY src src
# The credential helper, which the account page gives to laptops.
COPY bin bin
# The pages that --help names.
COPY docs docs
RUN ln -s ../../../opt/hubgate/src/bin/hubgate.ts /usr/local/bin/hubgate

# The home. What of it is kept, and who may do what in it, is for the volumes to say: there is no VOLUME, which would lay an
# unnamed one over what somebody has mounted above it.
WORKDIR /hubgate
RUN mkdir -p config certs state data log run/core run/auth run/gateway run/account && chown -R 1000:1000 .

# The image's own user "node". It runs as any other too; roles apart are users without a name.
USER 1000:1000
ENV NODE_ENV=production
EXPOSE 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/hubgate/src/bin/hubgate.ts"]
CMD ["start"]
