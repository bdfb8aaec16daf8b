// For tests: models of the built package are loaded with one thread unless another number is asked for. They are small: more threads
// would spend their time on waiting for each other.

import { Kelix } from "../dist/index.js";

const { load } = Kelix;
Kelix.load = (name, options) => load.call(Kelix, name, { threads: 1, ...options });
