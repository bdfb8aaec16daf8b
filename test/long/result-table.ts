// The result of a long run as a Markdown table, for docs/test-long.md.

import { cpus } from "node:os";
import type { Reporter, TestModule } from "vitest/node";

export class ResultTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => {
        const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(0);
        return [module.relativeModuleId.replace(/^test\/long\//, ""), test.name, test.result().state, `${seconds} s`];
      }),
    );
    const table = [["file", "test", "result", "time"], Array(4).fill("---"), ...rows];
    const machine = `${cpus()[0]?.model ?? process.arch}, ${cpus().length} cores, Node ${process.version}`;
    const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
    console.log(`\n${new Date().toISOString().slice(0, 10)}, ${machine}:\n\n${table.map(line).join("\n")}\n`);
  }
}
