// Addresses that the server may connect to for a client: public ones only, never this machine, its network or a cloud's metadata service.

import ipaddr from "ipaddr.js";

/** Whether an IP address is on the public internet: not private, local, mapped, tunnelled or reserved. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  return parsed.range() === "unicast";
}
