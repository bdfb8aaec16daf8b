# kelix serve, and kelix worker with another command. NOT TRIED: it is linted in the tests, and has not been built (docs/server.md).
#
#   docker build -t kelix .
#   docker run --read-only --tmpfs /tmp -e KELIX_API_KEYS=secret -p 8080:8080 kelix

ARG NODE=22

FROM node:${NODE}-slim AS build
WORKDIR /kelix
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

# Packages that run, with the queue's, and the native library without its GPU part.
FROM node:${NODE}-slim AS packages
WORKDIR /kelix
COPY package.json package-lock.json .npmrc ./
# The peers of the queue and of S3 are optional, so they are named; the lock file has their versions.
RUN npm ci --omit=dev \
  && npm install --no-save --omit=dev bullmq@6 ioredis@6 msgpackr@2 @aws-sdk/client-s3@3 @aws-sdk/lib-storage@3

FROM node:${NODE}-slim
ENV NODE_ENV=production \
    KELIX_MODEL=kelix-nano \
    HF_HOME=/tmp/huggingface
WORKDIR /kelix
COPY --from=packages /kelix/node_modules ./node_modules
COPY --from=build /kelix/dist ./dist
COPY --from=build /kelix/models ./models
COPY --from=build /kelix/configs ./configs
COPY package.json LICENSE ./
# The user "node", as a number that an orchestrator can check.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve", "--host", "0.0.0.0"]
