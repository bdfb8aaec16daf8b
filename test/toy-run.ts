// Trains the toy stage by the config given as an argument, going on with a run if "resume" follows: the process that tests kill.

import { runSchema } from "../src/train/config.ts";
import { train } from "../src/train/run.ts";
import { openToyStage } from "./toy-stage.ts";

const config = runSchema.parse(JSON.parse(process.argv[2]!));
await train(config, openToyStage(config.seed), { resume: process.argv[3] === "resume" });
