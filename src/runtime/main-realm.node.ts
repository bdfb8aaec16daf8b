// The realm that Node itself runs in. Jest and node:vm run a program in another: its arrays have classes of their own, and Jest's
// `process` is a copy whose environment native code does not see.

import { runInThisContext } from "node:vm";

export const mainRealm = runInThisContext("globalThis") as typeof globalThis;

export const isMainRealm = mainRealm.Int32Array === Int32Array;
