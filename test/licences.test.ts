// The check of licences finds what it is there for. What package-lock.json itself says, `npm run check` compares.

import { expect, test } from "vitest";
import { findFaults } from "../scripts/licences.mjs";

const lock = (packages: Parameters<typeof findFaults>[0]["packages"]) => ({ packages });

test("allows licences that ask for a notice, in any expression", () => {
  const packages = {
    "": { license: "GPL-3.0-only" },
    "node_modules/a": { version: "1.0.0", license: "MIT" },
    "node_modules/b": { version: "1.0.0", license: "(GPL-2.0-only OR Apache-2.0)" },
    "node_modules/c": { version: "1.0.0", license: "Apache-2.0 AND BSD-3-Clause" },
    "node_modules/@img/sharp-libvips-linux-x64": { version: "1.0.0", license: "LGPL-3.0-or-later" },
    "node_modules/d": { version: "1.0.0", license: "GPL-3.0-only", dev: true },
  };
  expect(findFaults(lock(packages))).toEqual([]);
});

test("names packages with other licences, without one, or with a text that is none", () => {
  const packages = {
    "node_modules/a": { version: "1.0.0", license: "LGPL-3.0-or-later" },
    "node_modules/a/node_modules/@b/c": { version: "2.0.0", license: "MIT AND GPL-3.0-only" },
    "node_modules/d": { version: "3.0.0" },
    "node_modules/e": { version: "4.0.0", license: "SEE LICENSE IN LICENSE" },
  };
  expect(findFaults(lock(packages))).toEqual([
    "a 1.0.0: LGPL-3.0-or-later is not among those allowed",
    "@b/c 2.0.0: MIT AND GPL-3.0-only is not among those allowed",
    "d 3.0.0: package-lock.json names no licence",
    "e 4.0.0: SEE LICENSE IN LICENSE is not among those allowed",
  ]);
});

test("optional peers count, with what they need, although they are installed for development", () => {
  const packages = {
    "": { peerDependencies: { queue: "^1.0.0" } },
    "node_modules/queue": { version: "1.0.0", license: "MIT", dev: true, dependencies: { a: "^1.0.0", b: "^1.0.0" } },
    "node_modules/queue/node_modules/a": { version: "1.0.0", license: "GPL-3.0-only", dev: true },
    "node_modules/a": { version: "2.0.0", license: "GPL-2.0-only", dev: true },
    "node_modules/b": { version: "1.0.0", license: "GPL-3.0-only", dev: true, dependencies: { queue: "^1.0.0" } },
  };
  expect(findFaults(lock(packages))).toEqual([
    "a 1.0.0: GPL-3.0-only is not among those allowed",
    "b 1.0.0: GPL-3.0-only is not among those allowed",
  ]);
});
