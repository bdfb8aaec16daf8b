// Why a connection may fail that would go through a proxy.

/** Node goes through a proxy only when it is told to. */
export function proxyHint(code = ""): string {
  const { env } = process;
  const proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"].find((name) => env[name]);
  if (!proxy || env.NODE_USE_ENV_PROXY || !/^(ENOTFOUND|EAI_|ECONN|ENET|EHOST|ETIMEDOUT|UND_ERR_CONN)/.test(code))
    return "";
  return `; ${proxy} is set, which Node (22.21, 24 or later) heeds with NODE_USE_ENV_PROXY=1`;
}
