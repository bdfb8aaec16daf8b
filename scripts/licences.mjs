// npm run licences: the licences of every package that is installed with this one, and of its optional peers and theirs, which the container
// has, by package-lock.json, for all platforms. Fails on one that is unknown or not allowed. Part of `npm run check`. Needs no network.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import satisfies from "spdx-satisfies";

/** Ask for a notice at the most. */
const allowed = ["MIT", "MIT-0", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unlicense", "CC0-1.0"];

/** Allowed for some packages alone, each with its reason. */
const exceptions = [
  {
    package: /^@img\/sharp-/,
    licences: ["LGPL-3.0-or-later"],
    reason: "libvips, a shared library of its own that sharp loads and that a user may replace",
  },
];

/**
 * One sentence for each package whose licence is missing, is no SPDX expression, or is not allowed.
 *
 * @param {{ packages: Record<string, { version?: string, license?: string, dev?: boolean, link?: boolean, dependencies?: Record<string, string>, optionalDependencies?: Record<string, string>, peerDependencies?: Record<string, string> }> }} lock
 */
export function findFaults({ packages }) {
  return shipped(packages).flatMap(([path, { version, license }]) => {
    const name = nameOf(path);
    if (license === undefined) return [`${name} ${version}: package-lock.json names no licence`];
    const own = exceptions.filter((exception) => exception.package.test(name)).flatMap(({ licences }) => licences);
    return isAllowed(license, [...allowed, ...own])
      ? []
      : [`${name} ${version}: ${license} is not among those allowed`];
  });
}

/** Entries of what a user gets: the package itself and what only serves its development apart. */
function shipped(packages) {
  const peers = peersOf(packages);
  return Object.entries(packages).filter(([path, { dev, link }]) => path !== "" && !link && (!dev || peers.has(path)));
}

/** Paths of the optional peers and all that they need. They are installed for development, too. */
function peersOf(packages) {
  const peers = new Set();
  const visit = (from, names = {}) => {
    for (const name of Object.keys(names)) {
      const path = resolve(packages, from, name);
      if (path === undefined || peers.has(path)) continue;
      peers.add(path);
      visit(path, { ...packages[path].dependencies, ...packages[path].optionalDependencies });
    }
  };
  visit("", packages[""]?.peerDependencies);
  return peers;
}

/** Where Node finds a package that the one at `from` imports: in its own node_modules, or further up. */
function resolve(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (packages[path]) return path;
    if (folder === "") return undefined;
  }
}

/** Of `node_modules/a/node_modules/@b/c`: `@b/c`. */
function nameOf(path) {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}

function isAllowed(license, licences) {
  try {
    return satisfies(license, licences);
  } catch {
    return false; // not an SPDX expression
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
  const faults = findFaults(lock);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) {
    console.error("Replace the package, or allow its licence in scripts/licences.mjs with the reason.");
    process.exitCode = 1;
  } else {
    const counts = new Map();
    for (const [, { license }] of shipped(lock.packages)) counts.set(license, (counts.get(license) ?? 0) + 1);
    const rows = [...counts].sort(([, a], [, b]) => b - a);
    console.log(`licences: ${rows.map(([licence, count]) => `${licence} ${count}`).join(", ")}`);
  }
}
