// Which addresses a server may open for a stranger: public ones. Whatever reaches this machine, its network, or a cloud's metadata
// service is not.

import ipaddr from "ipaddr.js";

/** Whether an IP address is one of the public internet's. Private, local, mapped, tunnelled and reserved ones are not. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  return parsed.range() === "unicast";
}
