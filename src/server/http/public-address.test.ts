import { expect, test } from "vitest";
import { isPublicAddress } from "./public-address.ts";

test.each([
  ["this machine", "127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 ::1 ::"],
  ["private networks", "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12::1 fec0::1"],
  ["links and metadata services", "169.254.169.254 fe80::1 fd00:ec2::254"],
  ["a provider's own", "100.64.0.1 100.127.255.255"],
  ["IPv4 in another form", "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001::1"],
  ["many or none", "224.0.0.1 255.255.255.255 ff02::1 240.0.0.1 100::1"],
  ["documentation and benchmarks", "192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 2001:db8::1 192.0.0.1"],
  ["no address", "localhost 256.1.1.1 8.8.8.8.8"],
])("%s: not public", (_, addresses) => {
  const open = addresses.split(" ").filter(isPublicAddress);
  expect(open).toEqual([]);
});

test("public ones are", () => {
  for (const address of ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111"])
    expect(isPublicAddress(address)).toBe(true);
});
