// Conversations together, in a process of its own: what to do comes as JSON, the rates go back as a message.

import { measureTogether, type TogetherJob } from "./together.ts";

const rates = await measureTogether(JSON.parse(process.argv[2]!) as TogetherJob);
process.send!(rates);
process.disconnect();
